package push_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"minipush/internal/push"
)

func TestPrice_PrintsAsTheOriginalDid(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, printed, fixed string }{
		{"250.00", "250", "250.00"},
		{"250", "250", "250.00"},
		{"9.90", "9.9", "9.90"},
		{"9.9", "9.9", "9.90"},
		{"9.99", "9.99", "9.99"},
		{"0", "0", "0.00"},
		{"0.00", "0", "0.00"},
		{"0.01", "0.01", "0.01"},
		{"0.10", "0.1", "0.10"},
		{"100", "100", "100.00"},
		{"1000.50", "1000.5", "1000.50"},
		{"007", "7", "7.00"},
		{"99999999.99", "99999999.99", "99999999.99"},
	} {
		t.Run(c.text, func(t *testing.T) {
			t.Parallel()
			p, err := push.ParsePrice(c.text)
			require.NoError(t, err)
			require.Equal(t, c.printed, p.String())
			require.Equal(t, c.fixed, p.Fixed())
			require.True(t, p.Valid())
			body, err := json.Marshal(p)
			require.NoError(t, err)
			require.JSONEq(t, `"`+c.fixed+`"`, string(body))
			var back push.Price
			require.NoError(t, json.Unmarshal(body, &back))
			require.Equal(t, p, back)
		})
	}
}

func TestParsePrice_RefusesWhatIsNoPrice(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", ".", ".5", "5.", "1.234", "-1", "+1", "1,000", "1e3", " 1", "1 ", "1.2.3", "100000000", "٣", "NaN", "0x10"} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			_, err := push.ParsePrice(text)
			invalid(t, err, "price", "not_a_price")
			var p push.Price
			require.Error(t, p.UnmarshalText([]byte(text)))
		})
	}
}

func TestProduct_BoundsItsPrice(t *testing.T) {
	t.Parallel()
	p := push.Product{Code: "1989", Title: "水杯", Price: 99_999_999_99}
	require.NoError(t, p.Validate())
	p.Price++
	invalid(t, p.Validate(), "price", "not_a_price")
	p.Price = -1
	invalid(t, p.Validate(), "price", "not_a_price")
}
