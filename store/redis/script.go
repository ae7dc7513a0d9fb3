package redis

import (
	_ "embed"

	goredis "github.com/redis/go-redis/v9"
)

// Each script says at its head what KEYS, ARGV and the reply are. A script runs by its hash; a Redis that was restarted or failed
// over does not know the hash, and Script.Run then sends the text. A script that does not look at the filling itself has
// guard.lua before its text: [Store.run] runs the script.
var (
	//go:embed guard.lua
	guardSource string
	//go:embed bounded.lua
	boundedSource string
	//go:embed mend.lua
	mendSource string
	//go:embed unsure.lua
	unsureSource string
	//go:embed apply.lua
	applySource string
	//go:embed claim.lua
	claimSource string
	//go:embed changes.lua
	changesSource string
	//go:embed ack.lua
	ackSource string
	//go:embed park.lua
	parkSource string
	//go:embed retry.lua
	retrySource string
	//go:embed drop.lua
	dropSource string
	//go:embed fill.lua
	fillSource string
	//go:embed seed.lua
	seedSource string
	//go:embed repair.lua
	repairSource string
	//go:embed lost.lua
	lostSource string
	//go:embed forget.lua
	forgetSource string
	//go:embed reconcile.lua
	reconcileSource string
	//go:embed raise.lua
	raiseSource string
	//go:embed reserve.lua
	reserveSource string
	//go:embed release.lua
	releaseSource string
	//go:embed bury.lua
	burySource string
	//go:embed record.lua
	recordSource string
	//go:embed due.lua
	dueSource string
	//go:embed note.lua
	noteSource string
	//go:embed absent.lua
	absentSource string
	//go:embed again.lua
	againSource string
	//go:embed adopt.lua
	adoptSource string
	//go:embed feed.lua
	feedSource string
	//go:embed feed_switch.lua
	feedSwitchSource string
	//go:embed feed_append.lua
	feedAppendSource string
	//go:embed feed_own.lua
	feedOwnSource string
	//go:embed feed_advance.lua
	feedAdvanceSource string
	//go:embed feed_release.lua
	feedReleaseSource string
	//go:embed feed_rewind.lua
	feedRewindSource string
	//go:embed feed_trim.lua
	feedTrimSource string
	//go:embed feed_letter.lua
	feedLetterSource string
	//go:embed feed_delete.lua
	feedDeleteSource string
	//go:embed feed_erase.lua
	feedEraseSource string

	applyScript     = goredis.NewScript(boundedSource + feedSource + applySource)
	absentScript    = guarded(absentSource)
	againScript     = goredis.NewScript(boundedSource + feedSource + againSource)
	claimScript     = guarded(claimSource)
	changesScript   = guarded(changesSource)
	ackScript       = guarded(ackSource)
	parkScript      = guarded(parkSource)
	fillScript      = guarded(fillSource)
	seedScript      = goredis.NewScript(seedSource)
	repairScript    = guarded(repairSource)
	lostScript      = guarded(lostSource)
	forgetScript    = guarded(forgetSource)
	reconcileScript = guarded(reconcileSource)
	raiseScript     = guarded(boundedSource + feedSource + raiseSource)
	mendScript      = guarded(boundedSource + mendSource)
	unsureScript    = guarded(boundedSource + unsureSource)
	reserveScript   = guarded(reserveSource)
	releaseScript   = guarded(releaseSource)
	recordScript    = guarded(recordSource)
	buryScript      = guarded(burySource)
	retryScript     = guarded(retrySource)
	dropScript      = guarded(feedSource + dropSource)
	dueScript       = guarded(dueSource)
	noteScript      = guarded(noteSource)
	adoptScript     = goredis.NewScript(adoptSource)

	feedSwitchScript  = guarded(feedSwitchSource)
	feedAppendScript  = guarded(feedAppendSource)
	feedOwnScript     = guarded(feedOwnSource)
	feedAdvanceScript = guarded(feedAdvanceSource)
	feedReleaseScript = guarded(feedReleaseSource)
	feedRewindScript  = guarded(feedRewindSource)
	feedTrimScript    = guarded(feedTrimSource)
	feedLetterScript  = guarded(feedLetterSource)
	feedDeleteScript  = guarded(feedDeleteSource)
	feedEraseScript   = guarded(feedEraseSource)
)

// guarded makes a script that first proves that the keys are the caller's.
func guarded(source string) *goredis.Script { return goredis.NewScript(guardSource + source) }
