// Package phpcodec holds the test that the plugin's two codecs, the one in PHP and the one on ext-msgpack, and the codec of
// package protocol mean the same by the same bytes, for random messages and for what random damage makes of them. There is
// nothing in it but the test.
package phpcodec
