package journal

import (
	"reflect"
	"testing"
)

func TestRecordsComeBack(t *testing.T) {
	t.Parallel()
	for _, r := range samples() {
		encoded := r.encode()
		got, err := decode(encoded)
		if err != nil {
			t.Fatalf("kind %d: %v", r.kind, err)
		}
		if !reflect.DeepEqual(got, &r) {
			t.Errorf("kind %d: read %+v, written %+v", r.kind, *got, r)
		}
		for cut := range encoded {
			if _, err := decode(encoded[:cut]); err == nil {
				t.Errorf("kind %d: the first %d of %d bytes were read", r.kind, cut, len(encoded))
			}
		}
	}
}
