package daemon

import (
	"errors"
	"fmt"
	"math"
	"net"

	"golang.org/x/sys/unix"
)

// NoGroup stands for an unknown group of a peer; no group has this id.
const NoGroup = math.MaxUint32

// Peer is the other end of a connection, as the kernel recorded the process when the process connected.
type Peer struct {
	UID, GID uint32
	PID      int32
}

func (p Peer) String() string { return fmt.Sprintf("uid %d gid %d pid %d", p.UID, p.GID, p.PID) }

// PeerOf asks the kernel (SO_PEERCRED) for the peer of a Unix socket.
func PeerOf(conn net.Conn) (Peer, error) {
	unixConn, ok := conn.(*net.UnixConn)
	if !ok {
		return Peer{}, errors.New("peer credentials: not a Unix socket")
	}
	raw, err := unixConn.SyscallConn()
	if err != nil {
		return Peer{}, fmt.Errorf("peer credentials: %w", err)
	}
	var cred *unix.Ucred
	var credErr error
	err = raw.Control(func(fd uintptr) {
		cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err := errors.Join(err, credErr); err != nil {
		return Peer{}, fmt.Errorf("peer credentials: %w", err)
	}
	return Peer{UID: cred.Uid, GID: cred.Gid, PID: cred.Pid}, nil
}
