// Package phpcodec holds the test that the plugin's two codecs, in PHP and on ext-msgpack, agree with the codec of package
// protocol on the meaning of the same bytes, for random messages and for randomly damaged messages. The package has only the
// test.
package phpcodec
