package spool

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os/user"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ticketd/ticketd/daemon"
	"github.com/ticketd/ticketd/protocol"
)

const (
	// shared is the name of the base's own lane.
	shared = "."
	// maxUseless is how many files of the shared lane may be neither usable nor set aside. Beyond this number, no call waits for
	// the shared lane.
	maxUseless = 1000
	// lookShare bounds the time for looks at a folder: a look may take one part in lookShare of the time.
	lookShare = 100
	// anybody makes read accept any owner.
	anybody = -1
)

// lane is a folder: a user's folder, or the base, where older clients leave their files. A lane has its own order, bounds and
// trouble.
type lane struct {
	s    *Spool
	name string
	user uint32 // not used by the shared lane

	// The holder of [Spool.mu] may use:
	watch  int       // the number of the armed watch, 0 for none
	unseen bool      // the folder may hold files that no look has found
	busy   bool      // a look is under way
	later  time.Time // no look before this time, whatever the kernel reports
	// quietUntil is the time of the next look without a request, by the system's clock.
	quietUntil time.Time
	at         place // the path's state when the folder was opened, or failed to open
	blind      bool  // an unusable folder stands there: changes may wait in the folder
	hides      error // why the folder is unusable

	former bool // the folder no longer stands at the path; never changes

	mu      sync.Mutex // guards the following fields
	folder  *folder    // nil while unusable
	why     error      // why the folder is unusable
	peer    daemon.Peer
	groups  map[uint32]uint32 // primary groups of the file owners in the shared lane, by user
	files   map[string]file
	noRoom  bool   // the log says that bad/ is full
	trouble string // the last logged reason of a failed look

	strangers, elsewhere, stays atomic.Int64 // counts of files
	crowded                     atomic.Bool  // the folder has more names, or more useless files, than a look reads
}

// file is the lane's knowledge of a present file.
type file struct {
	site     daemon.Site // the site that the change waits for, or nil
	ticket   int64       // the id of the ticket in the change
	at       time.Time   // see [acknowledged]
	meets    bool        // see [change]
	stuck    *stuck
	stranger bool // the file's owner is not the folder's
	// elsewhere: the change is for another table than its site's, because the configuration, or PHP's, has changed since the
	// file was written. The file holds up no other file: no file for the site's table depends on this change. A site's table
	// does not change while the daemon runs, so the file is not read again before the next start.
	elsewhere bool
}

// stuck is a finished file that stays: an ingested file that cannot be removed, or an unusable file that cannot be moved to
// bad/.
type stuck struct {
	taken bool
	why   *protocol.Error
}

func (l *lane) isShared() bool { return l.name == shared }

// primaryGroup returns the group that a connection of this user has, by the machine's list of users. A file's group proves
// nothing, because files inherit the group of their folder.
func primaryGroup(uid uint32) uint32 {
	found, err := user.LookupId(strconv.FormatUint(uint64(uid), 10))
	if err != nil {
		return daemon.NoGroup
	}
	gid, err := strconv.ParseUint(found.Gid, 10, 32)
	if err != nil {
		return daemon.NoGroup
	}
	return uint32(gid)
}

// owner returns the peer that stands for a file's owner. The caller holds l.mu.
func (l *lane) owner(uid uint32) daemon.Peer {
	if !l.isShared() {
		return l.peer
	}
	gid, known := l.groups[uid]
	if !known {
		gid = primaryGroup(uid)
		l.groups[uid] = gid
	}
	return daemon.Peer{UID: uid, GID: gid}
}

// hide marks the folder unusable until the folder opens. If a folder stands at the path, unreadable changes may wait in the
// folder. The caller holds l.mu.
func (l *lane) hide(why error, at place) {
	isMissing := at.isEmpty() // Warnings reports a missing folder, if the folder matters
	if !isMissing && (l.why == nil || l.why.Error() != why.Error()) {
		l.s.opts.Log.Error().Err(why).Str("folder", l.s.pathOf(l.name)).
			Msg("a folder of the spool is unusable; its user's changes fail, and newer changes of the same sites fail, too")
	}
	if passing(why) || errors.Is(why, errInUse) {
		at = place{} // the next request retries
	}
	l.why = why
	if isMissing {
		l.why = fmt.Errorf("%s: %w", l.s.pathOf(l.name), fs.ErrNotExist)
	}
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	l.at, l.blind, l.hides = at, !isMissing, why
}

// shut closes the folder. The caller holds l.mu.
func (l *lane) shut(why error) {
	if l.folder != nil {
		l.folder.close()
	}
	l.folder, l.why, l.files = nil, why, nil
	l.strangers.Store(0)
	l.elsewhere.Store(0)
	l.stays.Store(0)
	l.crowded.Store(false)
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	if l.watch != 0 && l.s.news != nil {
		l.s.news.disarm(l.watch)
		delete(l.s.watches, l.watch)
	}
	l.watch, l.unseen = 0, false
}

// due returns whether the lane needs a look now. The caller holds the spool's mu.
func (l *lane) due(now time.Time) bool { return l.unseen && !now.Before(l.later) }

// look sorts the lane's new files: each waits for its site, or is set aside. With an error the look is incomplete, and some
// files are unknown.
func (l *lane) look(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.folder == nil {
		return nil
	}
	unwatched := l.arm()
	began := time.Now()
	err := l.sort(ctx)
	l.s.mu.Lock()
	l.busy = false
	l.unseen = l.folder != nil && (l.unseen || err != nil || unwatched != nil) // without a watch each request looks
	l.s.mu.Unlock()
	l.rest(time.Since(began))
	if ctx.Err() == nil {
		l.report(errors.Join(err, unwatched))
	}
	return err
}

// notice notes folders of users without a lane.
func (l *lane) notice(users []string) {
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	for _, name := range users {
		if l.s.lanes[name] == nil && placeAt(l.s.pathOf(name)).mode&unix.S_IFMT == unix.S_IFDIR {
			l.s.version++
		}
	}
}

// arm makes the kernel report the next rename into the folder; in the shared folder also the next new file or folder, which
// may be a user's folder.
func (l *lane) arm() error {
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	l.busy, l.unseen = true, false
	if l.watch != 0 {
		return nil // the present watch has not fired yet
	}
	wd, err := l.s.news.arm(l.folder.fd(), l.isShared())
	if err != nil {
		return fmt.Errorf("%s: %w", l.folder.path, err)
	}
	l.watch = wd
	l.s.watches[wd] = l
	return nil
}

// rest postpones the next look at a folder whose looks take long, unless a request asks for a look. A crowded folder rests
// even then.
func (l *lane) rest(took time.Duration) {
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	l.quietUntil = time.Now().Add(took * lookShare)
	if l.crowded.Load() {
		l.later = l.s.opts.Now().Add(rescanEvery)
	}
}

// report logs a new reason why the look failed.
func (l *lane) report(err error) {
	trouble := ""
	if err != nil {
		trouble = err.Error()
	}
	if trouble != "" && trouble != l.trouble {
		l.s.opts.Log.Error().Err(err).Msg("cannot ingest the spool now; the daemon retries")
	}
	l.trouble = trouble
}

// sort sorts the folder's files. The caller holds l.mu.
func (l *lane) sort(ctx context.Context) error {
	names, users, more, err := l.folder.names(l.isShared())
	switch {
	case err != nil && (passing(err) || l.former): // no newer change may overtake the unread files
		return err
	case err != nil:
		l.shut(nil)
		l.hide(err, place{}) // the next request retries
		return nil
	}
	l.notice(users)
	l.forget(names)
	wait := map[daemon.Site]bool{}
	for _, name := range names {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
			break
		}
		if err = l.sortFile(name, wait); err != nil {
			break
		}
	}
	l.tell(wait)
	l.count(more)
	return err
}

// tell notes the sites for which files wait.
func (l *lane) tell(sites map[daemon.Site]bool) {
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	for site := range sites {
		if in := l.s.sites[site]; in != nil {
			in.pending = true
		}
	}
}

// sortFile decides the state of a file.
func (l *lane) sortFile(name string, wait map[daemon.Site]bool) error {
	known := l.files[name]
	switch {
	case known.stranger, known.elsewhere:
		return nil
	case known.stuck != nil:
		l.finish(name, *known.stuck)
		return nil
	case known.site != nil:
		wait[known.site] = true
		return nil
	}
	w, err := l.load(name)
	refusal, _ := errors.AsType[*protocol.Error](err)
	switch {
	case err == nil && !daemon.Meant(w.change, w.site), refusal == daemon.ErrNotMeant, daemon.IsOtherTable(refusal):
		l.leave(name, err)
	case err == nil:
		l.files[name] = file{
			site: w.site, ticket: w.ticket(), at: acknowledged(name, w.at), meets: w.meets(),
		}
		wait[w.site] = true
	case errors.Is(err, errGone):
	case errors.Is(err, errStranger):
		l.files[name] = file{stranger: true}
	case errors.Is(err, errLeased):
		l.again(tick)
	case refusal != nil && refusal.Retryable: // the file may be for a site that does not know its table yet and serves no request
		l.again(tick)
	case refusal != nil:
		l.finish(name, stuck{why: refusal})
	default:
		return err // an unknown file: files behind it must not overtake it
	}
	return nil
}

// leave notes a file for another table than its site's. The caller holds l.mu.
func (l *lane) leave(name string, why error) {
	if l.elsewhere.Load() == 0 {
		l.s.opts.Log.Error().Err(why).Str("file", name).
			Msg("a change in the spool is for another table than its site's: the file stays in place")
	}
	l.files[name] = file{elsewhere: true}
}

// again plans another look. No request waits for that look.
func (l *lane) again(after time.Duration) {
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	l.unseen, l.later = true, l.s.opts.Now().Add(after)
}

// count sums up the files by state.
func (l *lane) count(more bool) {
	var strangers, elsewhere, stays int64
	for _, f := range l.files {
		if f.elsewhere {
			elsewhere++
		}
		if f.stranger {
			strangers++
		}
		if f.stuck != nil {
			stays++
		}
	}
	crowded := more || (l.isShared() && stays > maxUseless)
	if crowded && !l.crowded.Load() {
		l.s.opts.Log.Error().Str("folder", l.folder.path).
			Msg("a folder of the spool holds more files than the daemon reads; remove the unusable files")
	}
	l.strangers.Store(strangers)
	l.elsewhere.Store(elsewhere)
	l.stays.Store(stays)
	l.crowded.Store(crowded)
}

// forget drops the files that are gone.
func (l *lane) forget(names []string) {
	if len(l.files) == 0 {
		return
	}
	there := make(map[string]bool, len(names))
	for _, name := range names {
		there[name] = true
	}
	for name := range l.files {
		if !there[name] {
			delete(l.files, name)
		}
	}
}

// written is the content of a file.
type written struct {
	change

	site  daemon.Site
	at    time.Time // time of writing
	meant bool      // see [origin]
}

// load reads a file and finds its site. The caller holds l.mu.
func (l *lane) load(name string) (w written, err error) {
	owner := int64(l.user)
	if l.isShared() {
		owner = anybody
	}
	if err := l.folder.look(name, owner); err != nil {
		return w, err
	}
	if !validName(name) {
		return w, protocol.Errorf(protocol.CodeMalformed, "the name is not a name of a spool file")
	}
	content, uid, at, err := l.folder.read(name, owner)
	if err != nil {
		return w, err
	}
	w.at = at
	if w.change, err = parse(content); err != nil {
		return w, err
	}
	daemon.Sign(w.change, l.owner(uid))
	w.site, err = l.s.opts.Sites.For(l.owner(uid), w.change)
	return w, err
}

// finish removes an ingested file, and sets aside any other. If that fails, the next look retries. The caller holds l.mu.
func (l *lane) finish(name string, known stuck) {
	again := l.files[name].stuck != nil
	log := &l.s.opts.Log
	var err error
	if known.taken {
		err = l.folder.remove(name)
	} else {
		err = l.folder.bad.put(l.folder.fd(), name, known.why)
	}
	switch {
	case errors.Is(err, errNoRoom):
		l.files[name] = file{stuck: &known}
		if !l.noRoom {
			log.Error().Str("folder", l.folder.path).
				Msg("the spool's bad/ is full: unusable files stay in place; inspect and remove them")
		}
		l.noRoom = true
		return
	case err != nil:
		l.files[name] = file{stuck: &known}
		if !again {
			log.Error().Err(err).Str("file", name).Msg("cannot remove a finished file of the spool")
		}
		return
	case !known.taken:
		l.noRoom = false
		log.Warn().Err(known.why).Str("file", name).
			Msg("a file of the spool is unusable; set aside in bad/, beside the reason")
	}
	delete(l.files, name)
}
