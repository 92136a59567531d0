package wechat

// subscribeTable is the error table of the call that sends a subscribe message. The codes of the formId call stand in it
// as what they would be here: a sign that the address is not the platform's. The evidence stands behind each line: doc =
// official documentation, src = source of an SDK, com = logs and threads of the community.
//
// Sources disagree on 45009 and on 40038; the daily quota, and the limit of a long-term template per user, are taken.
// Whether a refused call uses up a subscription is documented nowhere; it is taken not to.
//
//nolint:gochecknoglobals // a table that is only read
var subscribeTable = map[int]Advice{
	codeOK:          {ClassOK, "Accepted.", "发送成功。"},                                                                                          // doc
	codeSystemError: {ClassRetry, "The platform is busy; the message may have gone out. Not sent again by itself.", "微信系统繁忙，消息可能已发出；不会自动重发。"}, // doc, com

	// The access token.
	40001: {ClassToken, "The access token is not valid or not the latest. Renewed by itself.", "access_token 无效或不是最新，将自动刷新。"}, // doc, com
	40014: {ClassToken, "The access token is not valid. Renewed by itself.", "access_token 无效，将自动刷新。"},                        // doc
	42001: {ClassToken, "The access token is expired. Renewed by itself.", "access_token 已过期，将自动刷新。"},                         // doc

	// The permit. It is not always final: users with a subscription left were refused, and served some time later.
	43101: {ClassNoPermit, "The user did not subscribe, used it up, or turned the messages off.", "用户未订阅、订阅次数已用完或已关闭此消息。"}, // doc, src, com

	// The recipient.
	40003: {ClassRecipient, "The openid is not valid for this app. If all fail, the list is of another app.", "openid 无效；如全部失败，名单可能属于其他小程序。"}, // doc, com
	40038: {ClassFailed, "The user got too many messages of this template today.", "该用户当日接收此模板消息已达上限。"},                                       // com
	43108: {ClassRetry, "Two calls for one user at the same time. Sent again after a second or two.", "同一用户存在并发调用，将在一两秒后自动重试。"},               // doc, com

	// What the message says.
	45168: {ClassContent, "The text holds a blocked word. Change the text.", "内容含敏感词，请修改文案。"},                             // doc, src, com
	47003: {ClassField, "A field does not satisfy the template. The platform's text names it.", "字段不符合模板要求，具体字段见平台返回信息。"}, // doc, com

	// The task: its template or page.
	40037: {ClassPauseTask, "The template id is not valid. Check the template.", "template_id 无效，请检查模板。"},                           // doc
	41030: {ClassPauseTask, "The page does not exist in the released version. Correct it or release.", "页面在已发布版本中不存在，请更正页面或发布新版本。"}, // doc, src
	43102: {ClassPauseTask, "The template is not one for subscribe messages. Choose another.", "此模板不是订阅消息模板，请更换模板。"},                // src
	47001: {ClassPauseTask, "The platform could not read the message. Report the task to the developers.", "消息格式错误，请将此任务反馈给开发人员。"},  // doc, com
	48011: {ClassPauseTask, "The template is disabled. Choose another.", "模板已被停用，请更换模板。"},                                           // src, com

	// The app: punished, blocked, or the call is gone.
	43104: {ClassPauseApp, "The app has no permission for this call.", "小程序没有此接口的权限。"},                                                       // src
	43106: {ClassPauseApp, "The app may not add templates, as a punishment.", "小程序受处罚，禁止添加模板。"},                                              // src, com
	43107: {ClassPauseApp, "Messages of the app or of the template are banned. Ask the platform.", "小程序或模板的消息能力被封禁，请联系微信平台。"},                // doc
	45102: {ClassPauseApp, "The call is blocked for a time. Resume later.", "接口被暂时封禁，请稍后恢复。"},                                                // src
	45103: {ClassPauseApp, "The platform has withdrawn this call. Check the base URL and the platform's notices.", "微信已下线此接口，请检查接口地址与平台公告。"}, // src, com
	45109: {ClassPauseApp, "The platform has withdrawn this call. Check the base URL and the platform's notices.", "微信已下线此接口，请检查接口地址与平台公告。"}, // doc, com
	45501: {ClassPauseApp, "The app's requests are blocked by the platform's supervisor. Ask the platform.", "小程序请求被平台监管临时拦截，请联系微信平台。"},      // src
	48001: {ClassPauseApp, "The app is not authorised for this call. Check the kind of account.", "小程序未获得此接口授权，请检查账号类型。"},                    // doc, com
	48004: {ClassPauseApp, "The call is forbidden to this app for breaking the rules. Ask the platform.", "小程序因违规被禁用此接口，请联系微信平台。"},           // doc
	50002: {ClassPauseApp, "The app's account is frozen or closed. Ask the platform.", "小程序账号被冻结或注销，请联系微信平台。"},                               // doc, com
	50004: {ClassPauseApp, "The app may not use access tokens, perhaps as a punishment.", "小程序被禁止使用 access_token，可能受到处罚。"},                   // src

	// Limits.
	45009: {ClassQuota, "The day's quota is spent. Sending goes on when it is renewed.", "当日调用额度已用完，额度恢复后继续发送。"}, // doc, src
	45011: {ClassRate, "Too many calls a minute. Slowed down by itself.", "调用过于频繁，将自动降速。"},                       // doc, src

	// Ours.
	40013: {ClassConfig, "The appid is not valid. Correct it.", "AppID 无效，请更正。"},                                            // doc
	40033: {ClassConfig, "The body held \\u escapes. This is a fault of the program or a proxy.", "请求体含 \\u 转义，属于程序或代理问题。"}, // src
	41001: {ClassConfig, "The access token is missing. This is a fault of the program.", "缺少 access_token，属于程序问题。"},         // doc
	44002: {ClassConfig, "The body of the call was empty. This is a fault of the program or a proxy.", "请求体为空，属于程序或代理问题。"},  // doc
	45035: {ClassConfig, "The calling IP is not registered. Register it.", "服务器 IP 未登记，请登记。"},                               // doc
	47002: {ClassConfig, "The body held \\u escapes. This is a fault of the program or a proxy.", "请求体含 \\u 转义，属于程序或代理问题。"}, // src
	61004: {ClassConfig, "The calling IP is not registered. Register it.", "服务器 IP 未登记，请登记。"},                               // doc

	// Codes of other calls.
	41028: {ClassConfig, "A code of the formId call. Check the base URL.", "formId 消息错误码，请检查接口地址。"},      // doc
	41029: {ClassConfig, "A code of the formId call. Check the base URL.", "formId 消息错误码，请检查接口地址。"},      // doc
	41031: {ClassConfig, "A code of the formId call. Check the base URL.", "formId 消息错误码，请检查接口地址。"},      // src
	41032: {ClassConfig, "A code of the formId call. Check the base URL.", "formId 消息错误码，请检查接口地址。"},      // src
	41034: {ClassConfig, "A code of the formId call. Check the base URL.", "formId 消息错误码，请检查接口地址。"},      // src
	41035: {ClassConfig, "A code of the formId call. Check the base URL.", "formId 消息错误码，请检查接口地址。"},      // src
	45015: {ClassConfig, "A code of customer-service messages. Check the base URL.", "客服消息错误码，请检查接口地址。"}, // doc
	45047: {ClassConfig, "A code of customer-service messages. Check the base URL.", "客服消息错误码，请检查接口地址。"}, // doc
	46101: {ClassConfig, "A code of the formId call. Check the base URL.", "formId 消息错误码，请检查接口地址。"},      // src
}
