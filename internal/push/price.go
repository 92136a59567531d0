package push

import (
	"fmt"
	"strconv"
	"strings"
)

// Price is an amount in hundredths, from 0.00 to 99,999,999.99 as numeric(10,2) holds it.
type Price int64

const maxPrice Price = 99_999_999_99

// ParsePrice reads "250", "250.5" or "250.00": digits with at most two decimals.
func ParsePrice(text string) (Price, error) {
	whole, cents, dotted := strings.Cut(text, ".")
	if whole == "" || len(whole) > 8 || len(cents) > 2 || (dotted && cents == "") || !digits(whole) || !digits(cents) {
		return 0, &InvalidError{Field: "price", Rule: "not_a_price", Message: `must be digits with at most two decimals, for example "250.00", and at most 99999999.99`}
	}
	n, err := strconv.ParseInt(whole+cents+"00"[len(cents):], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("parse price: %w", err)
	}
	return Price(n), nil
}

func digits(s string) bool {
	return strings.Trim(s, "0123456789") == ""
}

// Valid says whether p fits the database.
func (p Price) Valid() bool { return p >= 0 && p <= maxPrice }

// Fixed prints two decimals: "250.00", "9.90".
func (p Price) Fixed() string { return fmt.Sprintf("%d.%02d", p/100, p%100) }

// String prints the price as the original printed it in a message: 250.00 → "250", 9.90 → "9.9".
func (p Price) String() string {
	return strings.TrimSuffix(strings.TrimRight(p.Fixed(), "0"), ".")
}

// MarshalText writes two decimals.
func (p Price) MarshalText() ([]byte, error) { return []byte(p.Fixed()), nil }

// UnmarshalText reads what ParsePrice reads.
func (p *Price) UnmarshalText(text []byte) error {
	price, err := ParsePrice(string(text))
	if err != nil {
		return err
	}
	*p = price
	return nil
}
