package wechat

// codeOK and codeSystemError are the two codes that the client itself looks at: the latter leaves open whether the
// message went out.
const (
	codeOK          = 0
	codeSystemError = -1
)

// tokenTable is the error table of the token call. Nearly all of it stops the app: a wrong secret or a calling IP that is
// not on the list does not heal, and asking again and again only spends the quota of the call. The evidence stands
// behind each line: doc = official documentation, src = source of an SDK, com = logs and threads of the community.
//
//nolint:gochecknoglobals // a table that is only read
var tokenTable = map[int]Advice{
	codeOK:          {ClassOK, "Success.", "成功。"},                                                                                                            // doc
	codeSystemError: {ClassRetry, "The platform is busy. Tried again by itself.", "微信系统繁忙，将自动重试。"},                                                           // doc
	40001:           {ClassConfig, "The app secret is wrong. Set the current one.", "AppSecret 错误，请更新密钥。"},                                                   // doc, com
	40002:           {ClassConfig, "Wrong grant_type. This is a fault of the program.", "grant_type 错误，属于程序问题。"},                                             // doc
	40013:           {ClassConfig, "The appid is not valid. Correct it.", "AppID 无效，请更正。"},                                                                   // doc
	40125:           {ClassConfig, "The app secret is not valid. Set the current one.", "AppSecret 无效，请更新密钥。"},                                               // com
	40164:           {ClassConfig, "This server's IP is not on the app's whitelist. Add it.", "服务器 IP 不在白名单中，请到小程序后台添加。"},                                    // com
	41002:           {ClassConfig, "The appid is missing, or the body was not JSON.", "缺少 AppID，或请求体不是 JSON。"},                                               // com
	41004:           {ClassConfig, "The app secret is missing. Set it.", "缺少 AppSecret，请设置密钥。"},                                                              // doc
	43002:           {ClassConfig, "The call must be a POST. Something on the way changes it.", "必须使用 POST 请求，请检查中间代理。"},                                     // doc
	45009:           {ClassConfig, "The day's quota of token calls is spent. Find out who else fetches tokens.", "获取 token 次数已达当日上限，请检查是否有其他程序在获取。"},         // doc
	45011:           {ClassConfig, "Too many token calls a minute. Find out who else fetches tokens.", "获取 token 过于频繁，请检查是否有其他程序在获取。"},                       // doc
	50002:           {ClassConfig, "The app's account is limited. Ask the platform.", "小程序账号受限，请联系微信平台。"},                                                    // doc, com
	50004:           {ClassConfig, "The app may not use access tokens, perhaps as a punishment. Ask the platform.", "小程序被禁止使用 access_token，可能受到处罚，请联系微信平台。"}, // src
	89501:           {ClassConfig, "The calling IP waits for an administrator's confirmation.", "此 IP 正在等待管理员确认。"},                                           // src
	89502:           {ClassConfig, "The calling IP waits for an administrator's confirmation.", "此 IP 正在等待管理员确认。"},                                           // src
	89503:           {ClassConfig, "The calling IP waits for an administrator's confirmation.", "此 IP 调用需要管理员确认。"},                                           // src
	89504:           {ClassConfig, "The calling IP waits for an administrator's confirmation.", "此 IP 正在等待管理员确认。"},                                           // src
	89505:           {ClassConfig, "The calling IP waits for an administrator's confirmation.", "此 IP 正在等待管理员确认。"},                                           // src
	89506:           {ClassConfig, "An administrator refused the calling IP twice. Not before 24 hours.", "此 IP 已被管理员两次拒绝，24 小时内不能再次调用。"},                    // src
	89507:           {ClassConfig, "An administrator refused the calling IP. Not before 1 hour.", "此 IP 已被管理员拒绝，1 小时内不能再次调用。"},                               // src
}
