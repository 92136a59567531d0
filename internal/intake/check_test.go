package intake_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minipush/internal/intake"
)

func code(r *intake.Rejection) intake.Code {
	if r == nil {
		return ""
	}
	return r.Code
}

func TestFormIDIsNotOneOfTheTextsThatClientsReport(t *testing.T) {
	t.Parallel()
	for formID, want := range map[string]intake.Code{
		"1573123456789":                          "",
		"63652f3e300d4ca5ab66a0c8ed82c001":       "",
		"6F9619FF-8B86-D011-B42D-00CF4FC964FF":   "",
		"wx201411101639507cbf6ffd8b0779950874":   "",
		"MjAxOTA1MDUwMDAwMDAwMDAwMDAwMDAwMDA+/=": "",
		"nullable":                               "",
		strings.Repeat("f", 128):                 "",
		strings.Repeat("f", 129):                 intake.TooLong,
		"":                                       intake.Blank,
		" \t\u3000":                              intake.Blank,
		"the formId is a mock one":               intake.MockFormID,
		" The FormID is a Mock One ":             intake.MockFormID,
		"the formId is no longer available in develop or trial version of this mini program": intake.TrialFormID,
		"requestFormId:fail":            intake.FailedFormID,
		"requestFormId:fail timeout":    intake.FailedFormID,
		"requestformid:FAIL deprecated": intake.FailedFormID,
		"undefined":                     intake.NullFormID,
		"NULL":                          intake.NullFormID,
		"NaN":                           intake.NullFormID,
		"[object Object]":               intake.NullFormID,
		"157 312":                       intake.BadCharacters,
		"157312 ":                       intake.BadCharacters,
		"157\x00312":                    intake.BadCharacters,
		"157\ufeff312":                  intake.BadCharacters,
		"157\xff312":                    intake.BadCharacters,
		"BAD-1":                         intake.DeniedFormID,
		"test-77":                       intake.DeniedFormID,
		"TEST-":                         intake.DeniedFormID,
		"bad-12":                        "",
	} {
		require.Equal(t, want, code(intake.CheckFormID(formID, []string{"bad-1", "Test-*", "*"})), "%q", formID)
	}
}

func TestIDsHaveALengthAndNoBlanks(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]intake.Code{
		"42":                           "",
		"o6_bmjrPTlm6_2sgVt7hMZOPfL2M": "",
		"用户42":                         "",
		strings.Repeat("户", 64):        "",
		"":                             intake.Blank,
		"  ":                           intake.Blank,
		"4 2":                          intake.BadCharacters,
		"42\n":                         intake.BadCharacters,
		"\u200b42":                     intake.BadCharacters,
		"4\xff":                        intake.BadCharacters,
		strings.Repeat("户", 129):       intake.TooLong,
	} {
		require.Equal(t, want, code(intake.CheckUserID(id)), "%q", id)
		require.Equal(t, want, code(intake.CheckOpenID(id)), "%q", id)
	}
	require.Equal(t, intake.TooLong, code(intake.CheckUserID(strings.Repeat("u", 65))))
	require.Nil(t, intake.CheckOpenID(strings.Repeat("o", 128)))
	require.Equal(t, intake.TooLong, code(intake.CheckOpenID(strings.Repeat("o", 129))))
}

func TestSubmissionIsNeitherInTheFutureNorAWeekAgo(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 12, 1, 10, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		at   time.Time
		want time.Time
		code intake.Code
	}{
		{time.Time{}, now, ""},
		{now, now, ""},
		{now.Add(-time.Second), now.Add(-time.Second), ""},
		{now.Add(time.Second), now, ""},
		{now.Add(60 * time.Second), now, ""},
		{now.Add(60*time.Second + 1), time.Time{}, intake.InFuture},
		{now.Add(-7*24*time.Hour + 1), now.Add(-7*24*time.Hour + 1), ""},
		{now.Add(-7 * 24 * time.Hour), time.Time{}, intake.Expired},
		{now.AddDate(-1, 0, 0), time.Time{}, intake.Expired},
	} {
		got, bad := intake.CheckSubmittedAt(test.at, now)
		require.Equal(t, test.code, code(bad), test.at)
		require.Equal(t, test.want, got, test.at)
	}
}
