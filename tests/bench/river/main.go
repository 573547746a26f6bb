// River under the load of peers.ts: no-op jobs, from the first insert to the last end. Arguments: the driver (postgres or
// sqlite) and its database. Prints one JSON object.
package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivermigrate"
	_ "modernc.org/sqlite"
)

const (
	tasks       = 40_000
	most        = 1_000
	submitters  = 100
	concurrency = 512
)

type noop struct{}

func (noop) Kind() string { return "noop" }

type worker struct{ river.WorkerDefaults[noop] }

func (worker) Work(context.Context, *river.Job[noop]) error {
	return nil
}

type result struct {
	Bulk   float64 `json:"bulk"`
	Single float64 `json:"single"`
	Pragma string  `json:"pragma,omitempty"`
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// measure runs the load on a client; completed counts the ends that are stored.
func measure[T any](ctx context.Context, client *river.Client[T], tasks int) result {
	events, cancel := client.SubscribeConfig(&river.SubscribeConfig{
		ChanSize: 2 * tasks,
		Kinds:    []river.EventKind{river.EventKindJobCompleted},
	})
	defer cancel()
	check(client.Start(ctx))
	wait := func(n int) {
		for range n {
			<-events
		}
	}
	insertMany := func(n int) {
		params := make([]river.InsertManyParams, most)
		for i := range params {
			params[i] = river.InsertManyParams{Args: noop{}}
		}
		for range n / most {
			_, err := client.InsertMany(ctx, params)
			check(err)
		}
	}
	insertEach := func(n int) {
		var left atomic.Int64
		left.Store(int64(n))
		var group sync.WaitGroup
		for range submitters {
			group.Go(func() {
				for left.Add(-1) >= 0 {
					_, err := client.Insert(ctx, noop{}, nil)
					check(err)
				}
			})
		}
		group.Wait()
	}
	rate := func(insert func(int), n int) float64 {
		begin := time.Now()
		insert(n)
		wait(n)
		return float64(n) / time.Since(begin).Seconds()
	}
	rate(insertMany, tasks/4)
	found := result{Bulk: rate(insertMany, tasks), Single: rate(insertEach, tasks/4)}
	check(client.Stop(ctx))
	return found
}

func main() {
	ctx := context.Background()
	workers := river.NewWorkers()
	river.AddWorker(workers, &worker{})
	config := &river.Config{
		Logger:        slog.New(slog.NewTextHandler(io.Discard, nil)),
		Queues:        map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: concurrency}},
		Workers:       workers,
		PollOnly:      false,
		FetchCooldown: 1 * time.Millisecond,
	}
	var found result
	switch os.Args[1] {
	case "postgres":
		pool, err := pgxpool.New(ctx, os.Args[2])
		check(err)
		driver := riverpgxv5.New(pool)
		migrator, err := rivermigrate.New(driver, nil)
		check(err)
		_, err = migrator.Migrate(ctx, rivermigrate.DirectionUp, nil)
		check(err)
		client, err := river.NewClient(driver, config)
		check(err)
		found = measure(ctx, client, tasks)
	case "sqlite":
		db, err := sql.Open("sqlite", "file:"+os.Args[2]+"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=busy_timeout(10000)&_txlock=immediate")
		check(err)
		db.SetMaxOpenConns(1)
		driver := riversqlite.New(db)
		migrator, err := rivermigrate.New(driver, nil)
		check(err)
		_, err = migrator.Migrate(ctx, rivermigrate.DirectionUp, nil)
		check(err)
		config.FetchPollInterval = 5 * time.Millisecond
		client, err := river.NewClient(driver, config)
		check(err)
		// It has no notifications there, and one writer.
		found = measure(ctx, client, tasks/10)
		check(db.QueryRow("PRAGMA synchronous").Scan(&found.Pragma))
	}
	check(json.NewEncoder(os.Stdout).Encode(found))
}
