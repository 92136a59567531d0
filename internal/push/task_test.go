package push

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// rules lists what Validate finds, as "field rule".
func rules(err error) (found []string) {
	for _, e := range err.(interface{ Unwrap() []error }).Unwrap() { //nolint:errorlint // joined by Validate
		invalid := e.(*InvalidError) //nolint:errorlint // as above
		found = append(found, invalid.Field+" "+invalid.Rule)
	}
	return found
}

func TestTaskSpec_Validate_BoundsTimes(t *testing.T) {
	t.Parallel()
	shanghai := time.FixedZone("", 8*3600)
	for at, good := range map[time.Time]bool{
		time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC): false,
		time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC):         false,
		time.Date(1999, 12, 31, 23, 59, 59, 0, time.UTC): false,
		time.Date(2101, 1, 1, 0, 0, 0, 0, time.UTC):      false,
		time.Date(2101, 1, 1, 7, 59, 59, 0, shanghai):    true,
		time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC):      true,
	} {
		for field, s := range map[string]TaskSpec{
			"not_after": {TemplateID: "T", NotAfter: &at}, "wait_for_permit_until": {TemplateID: "T", WaitForPermitUntil: &at},
		} {
			s.Normalize()
			if good {
				require.NoError(t, s.Validate(), at)
				continue
			}
			require.Equal(t, []string{field + " bad_time"}, rules(s.Validate()), at)
		}
	}
}

func TestTaskSpec_Validate_ChecksEveryText(t *testing.T) {
	t.Parallel()
	s := TaskSpec{App: "a\x00", TemplateID: "T\x00", ProductCode: "1\xff", Topic: "\x00"}
	s.Normalize()
	require.Equal(t, []string{"app control_character", "template_id control_character", "product_code not_utf8", "topic control_character"}, rules(s.Validate()))
	s = TaskSpec{App: strings.Repeat("a", MaxAppKey+1), TemplateID: "T", ProductCode: strings.Repeat("1", MaxProductCode+1)}
	s.Normalize()
	require.Equal(t, []string{"app too_long", "product_code too_long"}, rules(s.Validate()))
}
