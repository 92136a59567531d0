package callback

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// choices come sorted, so that the list in another order is the same list. A key is made of the whole list and the place in
// it: two popups of one second that share a template are still two, and an item that stands in a list twice counts twice.
func choices(kind string, e Event, items []item) ([]Choice, error) {
	list := make([]Choice, 0, len(items))
	for _, it := range items {
		if !usable(it.TemplateID) || !usable(it.SubscribeStatusString) {
			return nil, malformed("an item without template or status")
		}
		list = append(list, Choice{TemplateID: it.TemplateID, Status: it.SubscribeStatusString, Scene: it.scene()})
	}
	slices.SortFunc(list, func(a, b Choice) int {
		return cmp.Or(cmp.Compare(a.TemplateID, b.TemplateID), cmp.Compare(a.Status, b.Status), cmp.Compare(a.Scene, b.Scene))
	})
	text := keyPart(nil, e.OpenID, strconv.FormatInt(e.CreatedAt.Unix(), 10))
	for _, c := range list {
		text = keyPart(text, c.TemplateID, c.Status, c.Scene)
	}
	digest := sha256.Sum256(text)
	for i := range list {
		list[i].Key = fmt.Sprintf("%s/%x/%d", kind, digest[:16], i)
	}
	return list, nil
}

// keyPart appends texts with their lengths, so that together they read in one way only.
func keyPart(dst []byte, texts ...string) []byte {
	for _, text := range texts {
		dst = fmt.Appendf(dst, "%d:%s", len(text), text)
	}
	return dst
}

func deliveries(items []item) ([]Delivery, error) {
	list := make([]Delivery, 0, len(items))
	for _, it := range items {
		id, err := integer(it.MsgID)
		if err != nil || id <= 0 || !usable(it.TemplateID) {
			return nil, malformed("a result without msgid or template")
		}
		code, err := integer(it.ErrorCode)
		if err != nil {
			return nil, malformed("a result without code") // no code is not the code 0
		}
		list = append(list, Delivery{
			Key:        "sent/" + strconv.FormatInt(id, 10),
			TemplateID: it.TemplateID, MsgID: id, ErrorCode: code,
			ErrorStatus: strings.ReplaceAll(it.ErrorStatus, "\x00", ""),
		})
	}
	return list, nil
}

// usable says whether a text can identify something: it is there, and Postgres can store it.
func usable(s string) bool { return s != "" && !strings.ContainsRune(s, 0) }
