package protocol

import "testing"

// TestSkipStaysInside: a value that announces more than is left has no end.
func TestSkipStaysInside(t *testing.T) {
	t.Parallel()
	for _, cut := range []string{
		"", "\xc1", "\xa5p", "\xd9\x02a", "\xd9", "\xc4\x01", "\xda\x00", "\xd5\x01a", "\xc7\x02\x01a", "\xcd\x00",
		"\x91", "\x92\x01", "\x81\x01", "\xdc\x00\x02\x01", "\xde\x00\x01\x01", "\xdd\xff\xff\xff\xff\x01",
	} {
		if end, ok := skip(cut, 0); ok {
			t.Errorf("%x ends at %d", cut, end)
		}
	}
	for _, whole := range []string{
		"\xa1p", "\xd9\x01a", "\xd5\x01ab", "\xc7\x01\x01a", "\x92\x01\x91\xc0", "\x81\x01\x80", "\xcb12345678",
	} {
		if end, ok := skip(whole+"\xc0", 0); !ok || end != len(whole) {
			t.Errorf("%x ends at %d, %v", whole, end, ok)
		}
	}
}
