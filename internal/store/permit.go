package store

import (
	"minipush/internal/push"
)

// permits are the parts of statements that know what a permit of a channel is. A recipient names its permit by an id: that of a formId,
// or that of the counter which one unit was taken from. The parts keep the shape that the statements ask for: each look-up is a probe
// of an index under LIMIT, each update goes by ctid or by id.
type permits struct {
	// table holds the permits.
	table string
	// usable is the condition for a permit f of user u (columns app_id, user_id, openid) that could be claimed now, or at a time.
	usable func(app, user, openID, template, at, margin string) string
	// take, spend, die and free are what becomes of a permit: SET … of an UPDATE, with the condition under which it can.
	take, spend, die, free string
	// held is the condition, besides its id, of a permit that is reserved for a row of list $1.
	held string
	// order is how the permits of a user are claimed.
	order string
	// stock is an aggregate of usable permits f of one holder, which column holder tells apart; nth is when the one with n others that end
	// later (n an expression) ends, null if there are not so many.
	holder, stock string
	nth           func(n string) string
	// until is when a permit f ends.
	until string
	// units is how many messages a permit f is good for.
	units string
	// columns are form_id and expires_at of a permit f.
	columns string
	// oneCall says that the platform takes one call at a time for an openid (invariant 7).
	oneCall bool

	// The statements that are made of these parts.
	claimFresh, recordOutcomes string
}

// there probes for one permit that the user could be sent with; margin is how long before its expiry it is no longer claimed. LIMIT
// keeps it a probe whatever the statistics say. join is JOIN or LEFT JOIN, to a row f with a column there.
func (k *permits) there(join, app, user, openID, template, margin string) string {
	return join + ` LATERAL (SELECT true AS there FROM ` + k.table + ` f WHERE ` + k.usable(app, user, openID, template, "now()", margin) + `
		AND ` + template + `::text IS NOT NULL LIMIT 1) f ON true`
}

//nolint:gochecknoglobals // the parts of statements
var (
	formIDPermits = permits{
		table: "form_id",
		usable: func(app, user, _, _, at, margin string) string {
			return `f.app_id = ` + app + ` AND f.user_id = ` + user + ` AND f.state = 0 AND f.expires_at > ` + at + ` + ` + margin + `::interval`
		},
		take:  `state = 1, audience_id = $1, seq = p.seq, lease = $4`,
		spend: `state = 2`, die: `state = 3`, free: `state = 0`,
		held:    `state = 1 AND audience_id = $1`,
		order:   `ORDER BY f.expires_at`,
		holder:  `user_id`,
		stock:   `array_agg(f.expires_at ORDER BY f.expires_at DESC)`,
		nth:     func(n string) string { return `stock[1 + ` + n + `]` },
		until:   `f.expires_at`,
		units:   `1`,
		columns: `f.form_id, f.expires_at`,
	}
	subscriptionPermits = permits{
		table: "subscription",
		usable: func(app, _, openID, template, _, margin string) string {
			return `f.app_id = ` + app + ` AND f.openid = ` + openID + ` AND f.template_id = ` + template + ` AND f.available > 0 AND ` + margin + `::interval IS NOT NULL`
		},
		take:  `available = available - ` + aUnit + `, fresh = 0, reserved = reserved + 1, updated_at = now()`,
		spend: `reserved = reserved - 1, used = used + 1, updated_at = now()`,
		// What was reported after the claim was not there for the platform to refuse: it stays.
		// Of a long-term template there is one unit, which a claim does not take.
		die: `reserved = reserved - 1, suspect = CASE WHEN long_term THEN greatest(suspect, available - fresh) ELSE suspect + available - fresh + 1 END,
			suspect_at = now(), available = fresh, updated_at = now()`,
		free:    `reserved = reserved - 1, available = available + ` + aUnit + `, updated_at = now()`,
		held:    `reserved > 0`,
		holder:  `openid`,
		stock:   `max(CASE WHEN f.long_term THEN ` + unlimited + ` ELSE f.available END)`,
		nth:     func(n string) string { return `CASE WHEN stock > ` + n + ` THEN 'infinity'::timestamptz END` },
		until:   `'infinity'::timestamptz`,
		units:   `f.available`,
		columns: `'' AS form_id, 'epoch'::timestamptz AS expires_at`,
		oneCall: true,
	}
)

//nolint:gochecknoinits // the statements are made of the parts above once
func init() {
	for _, k := range []*permits{&formIDPermits, &subscriptionPermits} {
		k.claimFresh, k.recordOutcomes = claimFreshOf(k), recordOutcomesOf(k)
	}
}

// unlimited is the stock of a person whom no number of messages uses up.
const unlimited = `2147483647`

// aUnit is what a message takes from a subscription.
const aUnit = `CASE WHEN long_term THEN 0 ELSE 1 END`

func permitsOf(channel push.Channel) *permits {
	if channel == push.ChannelSubscribe {
		return &subscriptionPermits
	}
	return &formIDPermits
}
