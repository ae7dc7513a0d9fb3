package spool

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
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
	// shared is the name of the lane that is the base itself.
	shared = "."
	// maxUseless is how many files may lie in the shared lane that can neither be used nor set aside. Beyond that, no call waits for
	// that folder.
	maxUseless = 1000
	// lookShare bounds what looking at one folder again and again takes of the time: one part in so many.
	lookShare = 100
	// anybody is the owner of whom read() is content with all.
	anybody = -1
)

// lane is one folder: a user's, or the base, in which older clients leave their files. Its files have an order, its own bounds
// and its own trouble; none of them is another lane's.
type lane struct {
	s    *Spool
	name string
	user uint32 // not of the shared lane

	// For the holder of [Spool.mu].
	watch  int       // the number of the armed watch, 0 for none
	unseen bool      // it may hold files that no look has found
	busy   bool      // a look is under way
	later  time.Time // it is not looked at before, whatever the kernel tells
	// quietUntil is when it is looked at again where no request asks for it, by the system's clock.
	quietUntil time.Time
	at         place // what stood at the path when the folder was opened, or could not be
	blind      bool  // a folder stands there that cannot be used: changes may wait in it
	hides      error // why it cannot

	former bool // its folder does not stand at the path any more; never changes

	mu      sync.Mutex // held by who uses what follows
	folder  *folder    // nil while it cannot be used
	why     error      // why it cannot be used
	peer    daemon.Peer
	groups  map[uint32]uint32 // primary groups by user, of the shared lane's owners
	files   map[string]file
	noRoom  bool   // the log says that bad/ is full
	trouble string // the reason in the log why the lane could not be looked at

	strangers, elsewhere, stays atomic.Int64 // how many of each there are
	crowded                     atomic.Bool  // it has more names, or more useless files, than are looked at
}

// file is what is known of a file that is still there.
type file struct {
	site     daemon.Site // its change waits for this site; nil for the others
	ticket   int64       // the id of the ticket that its change names
	at       time.Time   // see acknowledged
	meets    bool        // see [change]
	stuck    *stuck
	stranger bool // it is not the folder's owner's
	// elsewhere says that its change is meant for another table than its site's: the configuration, or PHP's, names another one
	// since it was written. It holds up no other file, as no file for this table depends on it. Which table a site serves does not
	// change while the daemon runs, so the file is not read again before the next start.
	elsewhere bool
}

// stuck is a file that stays although nothing is left to be done with it: it was ingested and cannot be removed, or it cannot be
// used and cannot be moved away.
type stuck struct {
	taken bool
	why   *protocol.Error
}

func (l *lane) isShared() bool { return l.name == shared }

// primaryGroup is the group that a connection of this user has, according to the machine's list of users, the only source that
// counts: the group of a file proves nothing, since files inherit it from folders.
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

// owner says as which peer a file's owner counts. It is called with l.mu held.
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

// open opens the folder that stands at the lane's path; the log hears of a new reason why not once. It is called with l.mu held.
func (l *lane) open(base *os.File, at place) {
	owner := int(l.user)
	if l.isShared() {
		owner = os.Geteuid()
	}
	var f *folder
	err := errNoFolder
	if base != nil {
		f, err = openFolder(base, l.name, owner)
	}
	if err == nil && !at.is(f.dir) {
		f.close()
		err = errors.New("it is replaced by another folder at this moment")
		at = place{} // the next request tries again
	}
	if err != nil {
		l.hide(err, at)
		return
	}
	if l.why != nil {
		l.s.opts.Log.Info().Str("folder", f.path).Msg("the folder of the spool can be used")
	}
	l.folder, l.why, l.files = f, nil, map[string]file{}
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	l.unseen, l.later, l.at, l.blind, l.hides = true, time.Time{}, at.opened(), false, nil
}

// hide goes on without the folder until it can be opened. Where one stands at the path, changes may wait in it that cannot be
// read. It is called with l.mu held.
func (l *lane) hide(why error, at place) {
	isMissing := at.isEmpty() // the status says so, and for whom it matters
	if !isMissing && (l.why == nil || l.why.Error() != why.Error()) {
		l.s.opts.Log.Error().Err(why).Str("folder", l.s.pathOf(l.name)).
			Msg("a folder of the spool cannot be used; its user's changes fail there, and newer ones of the same sites, too")
	}
	if passing(why) || errors.Is(why, errInUse) {
		at = place{} // it is tried again at the next request
	}
	l.why = why
	if isMissing {
		l.why = fmt.Errorf("%s: %w", l.s.pathOf(l.name), fs.ErrNotExist)
	}
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	l.at, l.blind, l.hides = at, !isMissing, why
}

// shut closes the folder. It is called with l.mu held.
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

// part lets go of the folder, as something else stands at its path, or it is open to others than before. A folder that was moved
// away keeps what was acknowledged in it: it goes on as a former lane until nothing waits in it. It is called with l.mu held.
func (l *lane) part(at place) {
	switch {
	case at.is(l.folder.dir):
		l.shut(nil) // it is opened again, if it may be
		return
	case isRemoved(l.folder.dir):
		l.s.opts.Log.Error().Str("folder", l.folder.path).Msg("a folder of the spool was removed, with what waited in it")
		l.shut(nil)
		return
	}
	l.s.opts.Log.Error().Str("folder", l.folder.path).
		Msg("a folder of the spool was moved away or mounted over; what waits in it is ingested from where it is")
	former := &lane{
		s: l.s, name: l.name, user: l.user, former: true,
		folder: l.folder, peer: l.peer, groups: map[uint32]uint32{}, files: l.files,
	}
	former.strangers.Store(l.strangers.Load())
	former.elsewhere.Store(l.elsewhere.Load())
	former.stays.Store(l.stays.Load())
	l.folder = nil
	l.shut(nil)
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	former.unseen = true // whatever came until now
	l.s.former = append(l.s.former, former)
}

// isDone says that a former folder need not be kept: nothing waits in it, it was removed, or it stands at its path again, where
// it is opened anew. It is closed then.
func (l *lane) isDone() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	waits := false
	for _, f := range l.files {
		waits = waits || f.site != nil
	}
	l.s.mu.Lock()
	l.s.hear()
	waits = waits || l.unseen || l.busy
	l.s.mu.Unlock()
	if waits && !isRemoved(l.folder.dir) && !placeAt(l.s.pathOf(l.name)).is(l.folder.dir) {
		return false
	}
	l.shut(nil)
	return true
}

// due says whether there is something to look at. It is called with the spool's mu held.
func (l *lane) due(now time.Time) bool { return l.unseen && !now.Before(l.later) }

// look finds out what the lane's new files are: each waits for its site from then on, or is set aside. The error says that it did
// not come to an end, so that nothing is known of some files.
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
	l.unseen = l.folder != nil && (l.unseen || err != nil || unwatched != nil) // without the kernel's news each request looks
	l.s.mu.Unlock()
	l.rest(time.Since(began))
	if ctx.Err() == nil {
		l.report(errors.Join(err, unwatched))
	}
	return err
}

// notice notes that users have folders who are no lanes yet.
func (l *lane) notice(users []string) {
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	for _, name := range users {
		if l.s.lanes[name] == nil && placeAt(l.s.pathOf(name)).mode&unix.S_IFMT == unix.S_IFDIR {
			l.s.newcomer = true
		}
	}
}

// arm has the kernel tell of what is renamed into the folder from now on, and of the shared one also what is made there: it may
// be a user's folder.
func (l *lane) arm() error {
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	l.busy, l.unseen = true, false
	if l.watch != 0 {
		return nil // it has not told of anything yet
	}
	wd, err := l.s.news.arm(l.folder.fd(), l.isShared())
	if err != nil {
		return fmt.Errorf("%s: %w", l.folder.path, err)
	}
	l.watch = wd
	l.s.watches[wd] = l
	return nil
}

// rest postpones the next look at a folder whose looks take long, unless a request asks for one; in a crowded folder even then.
func (l *lane) rest(took time.Duration) {
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	l.quietUntil = time.Now().Add(took * lookShare)
	if l.crowded.Load() {
		l.later = l.s.opts.Now().Add(rescanEvery)
	}
}

// report tells the log once what keeps the lane from being looked at.
func (l *lane) report(err error) {
	trouble := ""
	if err != nil {
		trouble = err.Error()
	}
	if trouble != "" && trouble != l.trouble {
		l.s.opts.Log.Error().Err(err).Msg("the spool cannot be ingested now; the daemon tries again")
	}
	l.trouble = trouble
}

// sort looks at the names. It is called with l.mu held.
func (l *lane) sort(ctx context.Context) error {
	names, users, more, err := l.folder.names(l.isShared())
	switch {
	case err != nil && (passing(err) || l.former): // what waits there must not be overtaken meanwhile
		return err
	case err != nil:
		l.shut(nil)
		l.hide(err, place{}) // the next request tries to open it again
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
	l.s.tell(wait)
	l.count(more)
	return err
}

// sortFile finds out what one file is.
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
	case err == nil && !daemon.Meant(w.change, w.site), refusal == daemon.ErrNotMeant:
		l.leave(name)
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
	case refusal != nil && refusal.Retryable: // a site that does not know its table may be meant, which serves nothing yet
		l.again(tick)
	case refusal != nil:
		l.finish(name, stuck{why: refusal})
	default:
		return err // nothing is known of the file: files behind it must not overtake it
	}
	return nil
}

// leave notes a file that is meant for another table than its site's. It is called with l.mu held.
func (l *lane) leave(name string) {
	if l.elsewhere.Load() == 0 {
		l.s.opts.Log.Error().Str("file", name).
			Msg("a change in the spool is meant for another table than its site's: it is left where it is")
	}
	l.files[name] = file{elsewhere: true}
}

// again has the lane looked at again after a while. No request waits for that.
func (l *lane) again(after time.Duration) {
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	l.unseen, l.later = true, l.s.opts.Now().Add(after)
}

// count sums up what was found.
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
			Msg("a folder of the spool holds more files than are looked at; remove what cannot be used")
	}
	l.strangers.Store(strangers)
	l.elsewhere.Store(elsewhere)
	l.stays.Store(stays)
	l.crowded.Store(crowded)
}

// forget drops what is known of files that are gone.
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

// written is what a file holds.
type written struct {
	change

	site  daemon.Site
	at    time.Time // when it was written
	meant bool      // see [origin]
}

// load reads a file and finds its site. It is called with l.mu held.
func (l *lane) load(name string) (w written, err error) {
	owner := int64(l.user)
	if l.isShared() {
		owner = anybody
	}
	if err := l.folder.look(name, owner); err != nil {
		return w, err
	}
	if !validName(name) {
		return w, protocol.Errorf(protocol.CodeMalformed, "its name is not one of the spool")
	}
	content, uid, at, err := l.folder.read(name, owner)
	if err != nil {
		return w, err
	}
	w.at = at
	if w.change, err = parse(content); err != nil {
		return w, err
	}
	w.site, err = l.s.opts.Sites.For(l.owner(uid), w.change)
	return w, err
}

// finish takes the file out of the way: removes it, or sets it aside. Where that fails, it is tried again at the next look. It is
// called with l.mu held.
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
				Msg("the spool's bad/ is full: files that cannot be used stay where they are; look at them and remove them")
		}
		l.noRoom = true
		return
	case err != nil:
		l.files[name] = file{stuck: &known}
		if !again {
			log.Error().Err(err).Str("file", name).Msg("a file of the spool is done with and cannot be moved out of the way")
		}
		return
	case !known.taken:
		l.noRoom = false
		log.Warn().Err(known.why).Str("file", name).
			Msg("a file of the spool cannot be used; it is set aside in bad/, beside the reason")
	}
	delete(l.files, name)
}
