package redis

import (
	_ "embed"

	goredis "github.com/redis/go-redis/v9"
)

// Each script's KEYS, ARGV and return stand at its head. They run by their hash; Redis forgets them on restart and fail-over,
// and Script.Run then sends the text once more.
var (
	//go:embed apply.lua
	applySource string
	//go:embed claim.lua
	claimSource string
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

	applyScript     = goredis.NewScript(applySource)
	claimScript     = goredis.NewScript(claimSource)
	ackScript       = goredis.NewScript(ackSource)
	parkScript      = goredis.NewScript(parkSource)
	fillScript      = goredis.NewScript(fillSource)
	seedScript      = goredis.NewScript(seedSource)
	repairScript    = goredis.NewScript(repairSource)
	forgetScript    = goredis.NewScript(forgetSource)
	reconcileScript = goredis.NewScript(reconcileSource)
	raiseScript     = goredis.NewScript(raiseSource)
	reserveScript   = goredis.NewScript(reserveSource)
	releaseScript   = goredis.NewScript(releaseSource)
	retryScript     = goredis.NewScript(retrySource)
	dropScript      = goredis.NewScript(dropSource)
)
