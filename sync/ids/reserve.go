package ids

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"

	"github.com/ticketd/ticketd/internal/lifecycle"
	"github.com/ticketd/ticketd/internal/ticket"
)

// numberingTimeout bounds the question for the numbering, before the daemon uses ids from disk.
const numberingTimeout = 500 * time.Millisecond

// parts is the number of parts of a block that is kept on disk: a killed daemon loses the ids of two parts.
const parts = 8

// KeepOptions say where the ids are kept.
type KeepOptions struct {
	// Dir is a folder of the daemon's own; Name is the file's name in the folder.
	Dir, Name string
	// Owner returns the identity of the table that the ids belong to; empty while the identity is not known.
	Owner func() string
	// Numbering names the mechanism that keeps leased ids apart from ids that the table itself assigns: leased ids do not count
	// under another mechanism. Optional.
	Numbering func(ctx context.Context) (string, error)
	// Boot names this run of the kernel; empty stands for the kernel's own boot id.
	Boot string
	Log  zerolog.Logger
}

// reserve is a stock of leased ids on disk that no ticket has, for a daemon that starts while the database is unreachable.
//
// An id that is free in the file is not yet the daemon's: before the allocator gets a part, a file without that part replaces
// the file. So if the daemon is killed at any moment, the file holds no assigned id. An older file, from a backup or of another
// host, must not count: each version is a new file that names itself by properties that no copy shares (see [witness]), and the
// daemon empties the version before, whatever other names that file has. Any doubt costs ids and does no other harm.
type reserve struct {
	KeepOptions
	lease Lease
	block int
	loop  lifecycle.Loop
	wake  chan struct{} // asks the loop for a block

	mu      sync.Mutex
	dir     *os.Root // stays the same folder after a rename of the folder; nil before open
	owner   string   // the identity of the ids' table
	numbers string   // the numbering at the time of the lease
	off     bool     // the file is unusable: ids are only in memory
	version *os.File // the newest version, locked; nil before the first version
	free    []span
	said    string // the last logged problem
}

// kept is the file's content.
type kept struct {
	Identity string         `json:"identity"`
	Numbers  string         `json:"numbering,omitempty"`
	Witness  witness        `json:"witness"`
	Free     [][2]ticket.ID `json:"free"` // first id and number of ids
}

// Keep makes the allocator keep leased ids on disk. Keep is called before Start.
func (a *Allocator) Keep(o KeepOptions) {
	if o.Boot == "" {
		boot, _ := os.ReadFile("/proc/sys/kernel/random/boot_id") // without a boot id no ids are kept
		o.Boot = string(boot)
	}
	a.reserve = &reserve{KeepOptions: o, lease: a.lease, block: a.block, wake: make(chan struct{}, 1)}
	a.block = max(a.block/parts, 1)
}

// take returns about n ids that no other caller ever gets.
func (r *reserve) take(ctx context.Context, n int) (span, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.load(ctx) {
		r.mu.Unlock()
		first, err := r.lease(ctx, r.block)
		r.mu.Lock()
		return span{first, r.block}, err
	}
	for len(r.free) == 0 { // another call may take the block that this call has added
		r.mu.Unlock()
		err := r.add(ctx)
		r.mu.Lock()
		if err != nil {
			return span{}, err
		}
	}
	part := span{r.free[0].first, min(n, r.free[0].left)}
	r.free[0] = span{part.first + ticket.ID(part.left), r.free[0].left - part.left}
	if r.free[0].left == 0 {
		r.free = r.free[1:]
	}
	if err := r.write(); err != nil {
		return span{}, err
	}
	if r.count() < r.block {
		select {
		case r.wake <- struct{}{}:
		default:
		}
	}
	return part, nil
}

// add leases a block.
func (r *reserve) add(ctx context.Context) error {
	numbers, err := r.ask(ctx)
	asked := err == nil
	first, err := r.lease(ctx, r.block)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if asked && numbers != r.numbers {
		r.free, r.numbers = nil, numbers
	}
	r.free = append(r.free, span{first, r.block})
	return nil
}

// ask asks for the numbering.
func (r *reserve) ask(ctx context.Context) (string, error) {
	if r.Numbering == nil {
		return "", nil
	}
	ctx, cancel := context.WithTimeout(ctx, numberingTimeout)
	defer cancel()
	return r.Numbering(ctx)
}

func (r *reserve) count() (n int) {
	for _, s := range r.free {
		n += s.left
	}
	return n
}

// Start begins to lease blocks in the background.
func (r *reserve) Start(ctx context.Context) { r.loop.Start(ctx, r.fill) }

// fill leases a block on demand.
func (r *reserve) fill(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.wake:
		}
		for pause := firstPause; !r.filled(ctx); pause = min(2*pause, longestPause) {
			timer := time.NewTimer(pause/2 + rand.N(pause))
			select {
			case <-ctx.Done():
				timer.Stop()
				return
			case <-timer.C:
			}
		}
	}
}

// filled leases a block. It returns false if the lease failed.
func (r *reserve) filled(ctx context.Context) bool {
	ctx, cancel := context.WithTimeoutCause(ctx, leaseTimeout, errors.New("leasing ids took too long"))
	defer cancel()
	if err := r.add(ctx); err != nil {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	_ = r.write() // logged; after an error the ids are in memory
	return true
}

// Stop ends filling and keeps the ids that the allocator has not assigned.
func (r *reserve) Stop(ctx context.Context, left ...span) error {
	err := r.loop.Stop(ctx, "reserve of ids")
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range left {
		if s.left > 0 {
			r.free = append([]span{s}, r.free...)
		}
	}
	if r.dir != nil {
		_ = r.write() // logged
	}
	return errors.Join(err, r.close())
}

// close releases the file: from now on ids are only in memory. The caller holds the lock.
func (r *reserve) close() (err error) {
	if r.version != nil {
		err = r.version.Close() // also ends the lock
	}
	if r.dir != nil {
		err = errors.Join(err, r.dir.Close())
	}
	r.version, r.dir, r.off = nil, nil, true
	return err
}

// load opens the file as soon as the owner is known. It returns false before that. The caller holds the lock.
func (r *reserve) load(ctx context.Context) bool {
	owner := r.Owner()
	switch {
	case owner == "":
		return false
	case owner != r.owner: // the ids are another table's
		r.owner, r.free = owner, nil
	}
	if r.off || r.dir != nil {
		return true
	}
	if err := r.open(ctx); err != nil {
		r.tell(err, "leased ids are not kept on disk: a start without MySQL has no ids")
		_ = r.close()
	}
	return true
}

// open opens folder and file.
func (r *reserve) open(ctx context.Context) (err error) {
	if r.dir, err = os.OpenRoot(r.Dir); err != nil {
		return err
	}
	file, err := r.dir.OpenFile(r.Name, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	r.version = file
	if err := r.read(ctx, file); errors.Is(err, errInUse) {
		return err
	} else if err != nil {
		r.Log.Info().Err(err).Msg("the ids kept on disk are not used: the daemon leases new ids")
	}
	return nil
}

// tell logs a problem that differs from the last logged problem.
func (r *reserve) tell(err error, text string) {
	if err.Error() != r.said {
		r.said = err.Error()
		r.Log.Warn().Err(err).Msg(text)
	}
}

var (
	errInUse   = errors.New("another daemon has the file open")
	errAltered = errors.New("the ids were leased under another numbering of the table, or by another server")
	errOfElse  = errors.New("the file is a copy or another version, was written before the host was started, or is another table's")
)

// read reads the ids of a file that is the newest version.
func (r *reserve) read(ctx context.Context, file *os.File) error {
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return errInUse
	}
	self, err := witnessOf(file, r.Boot)
	if err != nil {
		return err
	}
	if named, err := r.dir.Lstat(r.Name); err != nil || !sameFile(named, file) {
		return errInUse // another daemon replaced the file before the lock
	}
	var k kept
	if err := json.NewDecoder(io.LimitReader(file, 1<<20)).Decode(&k); err != nil {
		return fmt.Errorf("%s: %w", r.Name, err)
	}
	if k.Witness != self || k.Identity != r.owner {
		return errOfElse
	}
	if numbers, err := r.ask(ctx); err == nil && numbers != k.Numbers {
		return errAltered
	}
	r.numbers = k.Numbers
	free := make([]span, 0, len(k.Free))
	for _, f := range k.Free {
		if !f[0].Valid() || f[1] < 1 || !(f[0] + f[1]).Valid() || f[1] > 1<<32 {
			return fmt.Errorf("%s: the file names invalid ids", r.Name)
		}
		free = append(free, span{f[0], int(f[1])})
	}
	r.free = append(r.free, free...)
	return nil
}

// write replaces the file. After an error, write also removes from memory the ids that the file may still name. The caller holds
// the lock.
func (r *reserve) write() error {
	if r.dir == nil {
		return nil
	}
	if r.version != nil {
		if named, err := r.dir.Lstat(r.Name); err != nil || !sameFile(named, r.version) {
			r.free = nil // a person has removed the file: its ids no longer count
		}
	}
	next, err := r.draft()
	if r.version != nil { // from here on the version before does not count, with or without an error
		if cut := r.version.Truncate(0); cut != nil {
			r.free = nil
			return fmt.Errorf("the ids kept on disk cannot be removed from the file: %w", cut)
		}
	}
	if err == nil {
		err = r.dir.Rename(r.Name+".new", r.Name)
	}
	if err != nil {
		r.tell(err, "leased ids cannot be kept on disk: the ids in memory are lost when the daemon ends")
		if next != nil {
			_ = next.Close()
		}
		return nil
	}
	if r.version != nil {
		_ = r.version.Close()
	}
	r.version, r.said = next, ""
	return nil
}

// draft writes the free ids into a new file.
func (r *reserve) draft() (file *os.File, err error) {
	name := r.Name + ".new"
	if err := r.dir.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if file, err = r.dir.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600); err != nil {
		return nil, err
	}
	k := kept{Identity: r.owner, Numbers: r.numbers, Free: make([][2]ticket.ID, 0, len(r.free))}
	for _, s := range joined(r.free) {
		k.Free = append(k.Free, [2]ticket.ID{s.first, ticket.ID(s.left)})
	}
	if err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err == nil {
		k.Witness, err = witnessOf(file, r.Boot)
	}
	if err == nil {
		err = json.NewEncoder(file).Encode(k)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// joined merges spans that follow each other.
func joined(spans []span) []span {
	var all []span
	for _, s := range spans {
		if n := len(all); n > 0 && all[n-1].first+ticket.ID(all[n-1].left) == s.first {
			all[n-1].left += s.left
			continue
		}
		all = append(all, s)
	}
	return all
}

// witness distinguishes a file from every copy: by its place, by its creation time, which no restore tool can set, and by the
// run of the kernel. So a file counts on one host until that host restarts: a disk that was reset to an earlier state, or
// cloned, has restarted since. A witness cannot detect the rollback of a snapshot of the file system alone within one run of the
// kernel.
type witness struct {
	Boot   string `json:"boot"`
	Device uint64 `json:"device"`
	Inode  uint64 `json:"inode"`
	Born   int64  `json:"born"` // seconds since 1970
	BornNS uint32 `json:"born_ns"`
}

var errNoWitness = errors.New("the file system has no creation times, or the kernel has no boot id")

func witnessOf(file *os.File, boot string) (witness, error) {
	var s unix.Statx_t
	if err := unix.Statx(int(file.Fd()), "", unix.AT_EMPTY_PATH, unix.STATX_BTIME|unix.STATX_INO, &s); err != nil {
		return witness{}, fmt.Errorf("statx: %w", err)
	}
	if s.Mask&unix.STATX_BTIME == 0 || s.Btime.Sec == 0 || boot == "" {
		return witness{}, errNoWitness
	}
	return witness{
		Boot: boot, Device: unix.Mkdev(s.Dev_major, s.Dev_minor), Inode: s.Ino, Born: s.Btime.Sec, BornNS: s.Btime.Nsec,
	}, nil
}

func sameFile(named fs.FileInfo, file *os.File) bool {
	info, err := file.Stat()
	return err == nil && os.SameFile(named, info)
}
