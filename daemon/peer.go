package daemon

import (
	"fmt"
	"math"

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

// PeerOf asks the kernel (SO_PEERCRED) for the peer of a Unix socket's descriptor.
func PeerOf(fd int) (Peer, error) {
	cred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return Peer{}, fmt.Errorf("peer credentials: %w", err)
	}
	return Peer{UID: cred.Uid, GID: cred.Gid, PID: cred.Pid}, nil
}
