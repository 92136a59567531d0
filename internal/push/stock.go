package push

import "time"

// User is a business user of an app. OpenID is nil while none has been reported, or after it moved to another user.
type User struct {
	App       string    `json:"app"`
	UserID    string    `json:"user_id"`
	OpenID    *string   `json:"openid"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

// FormSource is a place of a mini-program that yields formIds.
type FormSource struct {
	Source  int16  `json:"source"`
	LabelZH string `json:"label_zh"`
	LabelEN string `json:"label_en"`
}

// FormSources are the original's seven places, with which every app starts.
func FormSources() []FormSource {
	return []FormSource{
		{1, "步数兑换海贝按钮", "Button: exchange steps for shells"},
		{2, "首页邀请按钮", "Button: invite, on the home page"},
		{3, "步数拦截弹窗邀请按钮", "Button: invite, in the step-limit dialog"},
		{4, "兑换商品按钮", "Button: exchange for a product"},
		{5, "海贝不够邀请按钮", "Button: invite, when shells run short"},
		{6, "引导关注蒙层按钮", "Button: follow, on the guide overlay"},
		{7, "健康体验领取按钮", "Button: claim the health trial"},
	}
}

// Stock is what an app holds in permits: formIds by source, and units of subscriptions by template.
type Stock struct {
	AsOf     time.Time     `json:"as_of"`
	BySource []SourceStock `json:"by_source"`
	// Expiring counts the available ones by the day on which they expire.
	Expiring []DayCount `json:"expiring"`
	// Daily counts what was collected and what expired unused, by day and source, newest day first.
	Daily []SourceDay `json:"daily"`
	// Subscriptions counts units by subscribe template.
	Subscriptions []TemplateStock `json:"subscriptions"`
}

// TemplateStock counts the units of one subscribe template by state; they do not expire.
type TemplateStock struct {
	TemplateID string `json:"template_id"`
	// Name is empty for a template of which only the platform's events speak.
	Name string `json:"name"`
	// Available are messages that can be sent. Reserved ones are in flight, or held for a recipient whose outcome is not known. Suspect
	// ones were set aside when the platform refused a message although they were left.
	Available int64 `json:"available"`
	Reserved  int64 `json:"reserved"`
	Suspect   int64 `json:"suspect"`
	Used      int64 `json:"used"`
	// LongTerm counts people who accept a long-term template, which takes no units.
	LongTerm int64 `json:"long_term"`
	// Users counts people who can be sent a message at all: with a unit at least, or for good.
	Users int64 `json:"users"`
}

// SourceStock counts the formIds of one source by state. Expired ones that the cron entry has not yet removed are in none.
type SourceStock struct {
	FormSource
	Available int64 `json:"available"`
	Reserved  int64 `json:"reserved"`
	Used      int64 `json:"used"`
	Invalid   int64 `json:"invalid"`
}

// DayCount is a number for a day, "2006-01-02" in the configured time zone.
type DayCount struct {
	Day   string `json:"day"`
	Count int64  `json:"count"`
}

// SourceDay is one day of one source.
type SourceDay struct {
	Day       string `json:"day"`
	Source    int16  `json:"source"`
	Collected int64  `json:"collected"`
	Expired   int64  `json:"expired"`
}
