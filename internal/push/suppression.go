package push

import "time"

// AllApps stands where the key of an app stands, for what holds in all of them. No key can be that.
const AllApps = "*"

// MaxSuppressionNote is the length of the note of a suppression, in characters.
const MaxSuppressionNote = 200

// Suppression is a person who gets no message (免打扰): by user id or by openid.
type Suppression struct {
	ID int64 `json:"id"`
	// App is the key of the app, or AllApps; AppID is 0 for all apps.
	App       string    `json:"app"`
	AppID     int32     `json:"-"`
	UserID    *string   `json:"user_id"`
	OpenID    *string   `json:"openid"`
	Note      string    `json:"note"`
	AddedBy   string    `json:"added_by"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}
