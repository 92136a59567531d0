package mutanttest

// mutant is one planted fault: a text of one file is replaced, and a test of pkg that run names has to fail.
type mutant struct {
	// invariant is its number in the design.
	invariant int
	// fault says what is broken, in the words of the table in docs/testing.md.
	fault string
	// old stands in file exactly once.
	file, old, new string
	// tests of pkg, each of which must fail.
	pkg   string
	tests []string
}

const (
	dispatchDir = "internal/dispatch"
	storeDir    = "internal/store"
	model       = "TestModel_RandomOrder"
)

// mutants are the planted faults, at least one for each invariant.
func mutants() []mutant {
	var all []mutant
	for _, some := range [][]mutant{enqueuedOnce(), writtenAhead(), onePermit(), onlyOnProof(), ambiguous(), fenced(), nobodyTwice(), counted(), limited(), stopped(), levelTriggered()} {
		all = append(all, some...)
	}
	return all
}

func enqueuedOnce() []mutant {
	return []mutant{
		{1, "the send does not compare the state", "internal/store/submit.go",
			"WHERE id = $1 AND state = ANY ($2)`, id, from, at)", "WHERE id = $1 AND cardinality($2::text[]) > 0`, id, from, at)",
			dispatchDir, []string{"TestSend_StateAloneRefusesTheSecond"}},
		{1, "the start job is unique while it has not ended, and not for ever", "internal/dispatch/jobs.go",
			"Queue: queueStart, Tags: push.JobTags(a.TaskID), MaxAttempts: 10, UniqueOpts: river.UniqueOpts{ByArgs: true, ByState: rivertype.JobStates()}", "Queue: queueStart, Tags: push.JobTags(a.TaskID), MaxAttempts: 10, UniqueOpts: river.UniqueOpts{ByArgs: true}",
			dispatchDir, []string{"TestSend_QueueTakesOneStartJob"}},
		{1, "the start job is inserted outside the transaction of the state", "internal/dispatch/jobs.go",
			"d.river.InsertTx(ctx, store.Tx(ctx), startArgs{TaskID: taskID}, opts)", "d.river.Insert(ctx, startArgs{TaskID: taskID}, opts)",
			dispatchDir, []string{"TestSend_RolledBackLeavesNothing"}},
		{1, "a moved task keeps the job of its old time", "internal/dispatch/submit.go",
			"return d.replaceStartJob(ctx, t.ID, at)", "return d.insertStartJob(ctx, t.ID, at)",
			dispatchDir, []string{"TestSchedule_Move"}},
	}
}

func writtenAhead() []mutant {
	return []mutant{
		{2, "a claim does not write `sending` before the call", "internal/store/claim.go",
			"UPDATE recipient x SET state = 1, attempt = x.attempt + 1, permit_id = p.id,", "UPDATE recipient x SET state = 0, attempt = x.attempt + 1, permit_id = p.id,",
			dispatchDir, []string{model}},
		{2, "a batch's slots are given back before its outcomes are written, and after", "internal/dispatch/record.go",
			"	if err := r.record(ctx, done); err != nil {", "	r.d.slots.give(r.TaskID, len(done))\n	if err := r.record(ctx, done); err != nil {",
			dispatchDir, []string{"TestInFlight_SevenNeverEight"}},
		{2, "recipients are kept in an unlogged table", "migrations/00003_task.sql",
			"CREATE TABLE recipient (", "CREATE UNLOGGED TABLE recipient (",
			storeDir, []string{"TestSchema_TablesAreLogged"}},
	}
}

func onePermit() []mutant {
	return []mutant{
		{3, "a claim does not test the expiry", "internal/store/permit.go",
			"AND f.expires_at > ` + at + ` + ` + margin + `::interval`", "AND ` + at + ` + ` + margin + `::interval IS NOT NULL`",
			dispatchDir, []string{model, "TestFormIDs_EarliestExpiryFirstAndNeverExpired"}},
		{3, "a claim takes the latest expiry first", "internal/store/permit.go",
			"`ORDER BY f.expires_at`", "`ORDER BY f.expires_at DESC`",
			dispatchDir, []string{model, "TestFormIDs_EarliestExpiryFirstAndNeverExpired"}},
		{3, "a permit that is reserved may be claimed", "internal/store/permit.go",
			"` AND f.user_id = ` + user + ` AND f.state = 0", "` AND f.user_id = ` + user + ` AND f.state < 2",
			storeDir, []string{"TestClaim_OnePermitTwoTasks"}},
		{3, "a permit that a rival holds for a moment counts as none", "internal/store/claim.go",
			"m.reason == push.NoPermit && held[m.userID]", "m.reason == push.NoPermit && held[m.userID] && c == nil",
			storeDir, []string{"TestClaim_PermitHeldByARival"}},
		{3, "the sweep retires formIds that are reserved", "internal/store/formid.go",
			"expires_at > $3 AND expires_at <= now() AND state = 0 LIMIT $2", "expires_at > $3 AND expires_at <= now() LIMIT $2",
			dispatchDir, []string{"TestFormIDs_ExpireSweep"}},
	}
}

func onlyOnProof() []mutant {
	return []mutant{
		{4, "a refused recipient costs the permit", "internal/dispatch/outcome.go",
			"v.State, v.Reason, v.Permit, v.Note = push.Failed, reason, store.PermitFreed, a.result.Msg", "v.State, v.Reason, v.Permit, v.Note = push.Failed, reason, store.PermitDied, a.result.Msg",
			dispatchDir, []string{model, "TestJudge_EveryClass"}},
		{4, "the quota, and a rate, cost the permit", "internal/dispatch/outcome.go",
			"v.State, v.Permit, v.NotCounted, v.RetryIn = push.Pending, store.PermitFreed, true, retryIn", "v.State, v.Permit, v.NotCounted, v.RetryIn = push.Pending, store.PermitSpent, true, retryIn",
			dispatchDir, []string{model, "TestQuota_GivesEverythingBack"}},
		{4, "a call that was never made costs the permit", "internal/dispatch/outcome.go",
			"push.Pending, true, a.Ambiguous, store.PermitFreed", "push.Pending, true, a.Ambiguous, store.PermitDied",
			dispatchDir, []string{"TestJudge_NotStartedChangesNothing"}},
	}
}

func ambiguous() []mutant {
	return []mutant{
		{5, "an answer that is lost counts as a refusal: the permit is freed", "internal/dispatch/outcome.go",
			"	case a.result.Ambiguous && a.channel.ResendSafe():\n		v.keep(a)", "	case a.result.Ambiguous && a.channel.ResendSafe():\n		v.release(0)",
			dispatchDir, []string{model, "TestAmbiguous_SameFormIDOneMessage"}},
		{5, "the day's quota after an ambiguous attempt frees the permit", "internal/dispatch/outcome.go",
			"	default:\n		v.keep(a)\n		v.pauseFor(a)", "	case wechat.ClassQuota:\n		v.release(0)\n	default:\n		v.keep(a)\n		v.pauseFor(a)",
			dispatchDir, []string{"TestAmbiguous_RefusalsAfterItFreeNothing"}},
		{5, "a takeover claims what the dead run had claimed afresh, with whatever permit comes", "internal/store/chunk.go",
			"UPDATE recipient SET state = 0, ambiguous = true, retry_at = NULL,", "UPDATE recipient SET state = 0, ambiguous = false, permit_id = NULL, retry_at = NULL,",
			dispatchDir, []string{"TestTakeover_ChunkOfADeadNode"}},
		{5, "a call without an answer is made again where permits are counted", "internal/dispatch/outcome.go",
			"	case a.result.Ambiguous:\n		v.unsure(a, store.PermitSpent)", "	case a.result.Ambiguous:\n		v.release(0)",
			dispatchDir, []string{"TestSubscribe_AmbiguousIsUnknown"}},
		{5, "a used formId after an ambiguous attempt is dead, and the next one is tried", "internal/dispatch/outcome.go",
			"	case wechat.ClassPermitUsed:\n		v.sent()\n		v.Inferred = true", "	case wechat.ClassPermitUsed:\n		v.dead(a)",
			dispatchDir, []string{model, "TestAmbiguous_SameFormIDOneMessage"}},
		{5, "an invalid formId after an ambiguous attempt is proof even when it may have expired", "internal/dispatch/outcome.go",
			"case a.at.Before(a.ExpiresAt.Add(-margin)):", "case true:",
			dispatchDir, []string{"TestJudge_DeadPermitAfterAmbiguousOnlyWhileUnexpired"}},
		{5, "an ambiguous recipient whose permit expires is sent again with another, whatever the policy", "internal/store/ambiguous.go",
			"NOT f.alive AND $7 AND r.permit_tries + 1 < $8 AS again", "NOT f.alive AND ($7 OR true) AND r.permit_tries + 1 < $8 AS again",
			dispatchDir, []string{"TestAmbiguous_ExpiryLeavesItUnknown"}},
	}
}

func fenced() []mutant {
	return []mutant{
		{6, "a claim is not fenced", "internal/store/claim.go",
			"c.no = $2 AND c.lease = $3 AND c.state = 'running'\n		   AND t.id", "c.no = $2 AND $3::int > 0\n		   AND t.id",
			storeDir, []string{"TestRun_StaleOneChangesNothing"}},
		{6, "an outcome is not fenced", "internal/store/outcome.go",
			"WHERE task_id = $14 AND no = $15 AND lease = $4 AND state = 'running' RETURNING pending),", "WHERE task_id = $14 AND no = $15 RETURNING pending),",
			storeDir, []string{"TestRun_StaleOneChangesNothing"}},
		{6, "the end of a run is not fenced", "internal/store/chunk.go",
			"WHERE task_id = $1 AND no = $2 AND lease = $3 AND state = 'running' RETURNING state = 'done', `+boundTx", "WHERE task_id = $1 AND no = $2 AND $3::int > 0 AND state = 'running' RETURNING state = 'done', `+boundTx",
			storeDir, []string{"TestRun_StaleOneChangesNothing"}},
		{6, "a job of an older generation may take the lease", "internal/store/chunk.go",
			"AND c.generation = $3 AND c.state = 'queued' AND t.id = c.task_id", "AND $3::int > 0 AND c.state = 'queued' AND t.id = c.task_id",
			storeDir, []string{"TestTakeLease_OnceForItsGeneration"}},
		{6, "a process calls on though its last beat is too old", "internal/dispatch/node.go",
			"return n != nil && time.Since(n.start)-time.Duration(n.beaten.Load()) < beatTTL", "return n != nil",
			dispatchDir, []string{"TestGate_ShutsOnAStaleBeat"}},
	}
}

func nobodyTwice() []mutant {
	return []mutant{
		{7, "an openid may have two calls in flight", "internal/store/permit.go",
			"oneCall: true,", "oneCall: false,",
			dispatchDir, []string{"TestSubscribe_WaitsForACallInFlight"}},
		{7, "an openid that changed hands is not held against what it got", "internal/store/claim.go",
			"(o.state IN (1, 2, 5) OR o.doubted) LIMIT 1) d ON true", "false LIMIT 1) d ON true",
			storeDir, []string{"TestUpsertUsers_OpenIDThatChangesHandsIsNotSentTwice"}},
		{7, "a user who stands twice in a batch of a list is not left out", "internal/store/audience.go",
			"_, twice := seen[r.UserID]; twice {", "_, twice := seen[r.UserID]; twice && false {",
			dispatchDir, []string{"TestAudience_DuplicatesOverBatches"}},
	}
}

func counted() []mutant {
	return []mutant{
		{8, "a claim does not move the counters", "internal/store/claim.go",
			"WHERE task_id = $7 AND no = $8 AND n.claimed > 0)", "WHERE task_id = $7 AND no = $8 AND n.claimed < 0)",
			dispatchDir, []string{model}},
		{8, "a task is done while a chunk is being run", "internal/store/submit.go",
			"AND NOT EXISTS (SELECT FROM chunk WHERE task_id = $1 AND state <> 'done')", "AND NOT EXISTS (SELECT FROM chunk WHERE task_id = $1 AND state NOT IN ('running', 'queued', 'done'))",
			dispatchDir, []string{model, "TestSettle_OnlyWhenNothingIsOpen"}},
		{8, "a task is settled without its lock", "internal/store/submit.go",
			"FROM task WHERE id = $1 FOR NO KEY UPDATE`, id).Scan(&state", "FROM task WHERE id = $1`, id).Scan(&state",
			storeDir, []string{"TestSettleTask_TwoLastChunksAtOnce"}},
		{8, "recipients that are skipped are not counted by reason", "internal/store/claim.go",
			"		counts.add(push.Pending, state, reason)\n		c.Ended++", "		counts.add(push.Pending, state, push.NoReason)\n		c.Ended++",
			dispatchDir, []string{"TestMix_EachEndsForItsReason"}},
	}
}

func limited() []mutant {
	return []mutant{
		{9, "slots are given out at a twentieth above the rate", "migrations/00006_limiter.sql",
			"share   CONSTANT double precision := 0.985;", "share   CONSTANT double precision := 1.05;",
			dispatchDir, []string{"TestLimit_OfAnApp_IsExactOverDaemons"}},
		{9, "two daemons may be given the same slots: the limiter's row is not locked", "migrations/00006_limiter.sql",
			"WHERE l.app_id = the_app AND l.task_id = 0 FOR UPDATE;", "WHERE l.app_id = the_app AND l.task_id = 0;",
			storeDir, []string{"TestTakeSlots_OfSeveralDaemonsAtOnce_AreEvenAndDisjoint"}},
		{9, "a task's own limit is not asked", "migrations/00006_limiter.sql",
			"IF n > 0 AND own_rate > 0 THEN\n        due :=", "IF false THEN\n        due :=",
			dispatchDir, []string{"TestLimit_OfATask_IsExactAloneAndUnderItsApps"}},
	}
}

func stopped() []mutant {
	return []mutant{
		{10, "a stop does not wait for the runs", "internal/dispatch/lifecycle.go",
			"	err := d.river.Stop(ctx)\n", "	err := error(nil)\n",
			dispatchDir, []string{"TestStop_MidTask"}},
		{10, "a node that has stopped does not say so", "internal/dispatch/lifecycle.go",
			"err = errors.Join(err, d.st.StopNode(after, d.node.id))", "_ = after",
			dispatchDir, []string{"TestStop_MidTask"}},
		{10, "the chunks of a dead node are left to it", "internal/dispatch/sweep.go",
			"errors.Join(d.freeOrphans(ctx), d.freeDead(ctx))", "d.freeOrphans(ctx)",
			dispatchDir, []string{"TestTakeover_ChunkOfADeadNode"}},
	}
}

func levelTriggered() []mutant {
	return []mutant{
		{11, "the cron entry does not look for tasks that are due", "internal/dispatch/lifecycle.go",
			"			d.sweepDue(ctx)\n", "",
			dispatchDir, []string{"TestSchedule_StartsOnTimeWithoutItsJob"}},
		{11, "a task without chunks is left to its start job", "internal/dispatch/sweep.go",
			"if t.StartedAgo > startAge {", "if t.StartedAgo < 0 {",
			dispatchDir, []string{model, "TestSend_StateAloneRefusesTheSecond"}},
		{11, "a chunk is left to its job, though that was deleted", "internal/dispatch/sweep.go",
			"n, err := d.st.FreeLostJobs(ctx, lostJobAge)", "n, err := 0, error(nil)",
			dispatchDir, []string{model, "TestTakeover_JobDeleted"}},
		{11, "a task that is late beyond its policy is sent all the same", "internal/dispatch/sweep.go",
			"t.Overdue || t.Late > d.grace(t.Misfire)", "t.Overdue",
			dispatchDir, []string{"TestSchedule_Misfire"}},
	}
}
