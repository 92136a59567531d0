package main

import (
	"context"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMeter_CountsTheStatementsOfServeAndNotItsOwn(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	pg, err := startPostgres(ctx, t.TempDir(), "8GB", &progress{out: io.Discard})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, pg.stop(context.WithoutCancel(ctx))) })
	db, err := pg.create(ctx, "meter")
	require.NoError(t, err)
	defer func() { require.NoError(t, db.drop(ctx)) }()
	serve, err := connect(ctx, db.url, 1)
	require.NoError(t, err)
	defer serve.Close()
	_, err = serve.Exec(ctx, `
		CREATE TABLE recipient (seq int PRIMARY KEY, state int NOT NULL) WITH (fillfactor = 50);
		CREATE TABLE form_id (id int PRIMARY KEY);
		INSERT INTO recipient SELECT n, 0 FROM generate_series(0, 999) n`)
	require.NoError(t, err)
	serve.Reset()

	m, err := begin(ctx, db.pool)
	require.NoError(t, err)
	for i := range 10 {
		_, err := serve.Exec(ctx, `UPDATE recipient SET state = 1 WHERE seq >= $1 AND seq < $2`, i*100, (i+1)*100)
		require.NoError(t, err)
		_, err = db.pool.Exec(ctx, `SELECT count(*) FROM form_id`)
		require.NoError(t, err)
	}
	c, err := m.ended(ctx, serveRole, 1000)
	require.NoError(t, err)
	dearest, err := m.dearest(ctx, serveRole, 5)
	require.NoError(t, err)
	serve.Close()
	require.NoError(t, m.settled(ctx, &c))

	require.Equal(t, int64(10), c.Statements)
	require.Positive(t, c.BufferHits)
	require.Positive(t, c.WALBytes)
	require.GreaterOrEqual(t, c.WALStat, c.WALBytes)
	require.Equal(t, tableCost{Read: 1000, Updated: 1000, HOT: 1000}, c.Recipient)
	require.Equal(t, tableCost{}, c.FormID)
	require.Len(t, dearest, 1)
	require.Equal(t, int64(10), dearest[0].Calls)
}
