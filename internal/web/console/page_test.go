package console

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Screens are made when they are first shown: here all are, so that one that does not parse is no surprise.
func TestTemplates_EachScreenParsesInEachLanguage(t *testing.T) {
	t.Parallel()
	catalogues, err := readCatalogues()
	require.NoError(t, err)
	files, err := newAssets()
	require.NoError(t, err)
	templates, err := newTemplates(catalogues, files, Config{})
	require.NoError(t, err)
	require.NotEmpty(t, templates.screens)
	for s := range templates.screens {
		set, err := templates.of(s.lang, s.name)
		require.NoError(t, err, s)
		require.NotNil(t, set.Lookup("content"), s)
	}
	_, err = templates.of(chinese, "nowhere")
	require.Error(t, err)
}
