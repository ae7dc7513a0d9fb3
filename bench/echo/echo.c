/*
 * The floor for any daemon: answers every frame with revision 1, on a Unix stream socket; with a Redis, after the reply to a command
 * there. One process, one thread, epoll. A frame and a reply of Redis are taken to arrive in one read, as the benchmark's do.
 *
 * Usage: echo SOCKET [REDIS-SOCKET PASSWORD COMMAND-FILE]
 *
 * The file holds the command's bytes. Before each call, a number of twelve digits replaces each __rand_int__ (one of a thousand
 * tickets, as in redis-benchmark) and each __next_int__ (a number that is new in each call).
 */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { HEADER = 4, EVENTS = 64 };

/* Bytes that the msgpack integer at p takes. */
static size_t integer_size(const unsigned char *p)
{
	switch (*p) {
	case 0xcc:
		return 2;
	case 0xcd:
		return 3;
	case 0xce:
		return 5;
	default:
		return 1;
	}
}

/* The command, and where numbers go in it. */
enum { DIGITS = 12, TICKETS = 1000, PLACES = 16 };
static char call[65536];
static size_t call_size;
static char *tickets[PLACES + 1], *numbers[PLACES + 1]; /* each ends with a null pointer */

/* Redis, or -1 without one. */
static int redis = -1;

/* Sends a command and waits for its reply, which is short; 0 where that is an error. */
static int command(const char *text, size_t size)
{
	char reply[256];

	if (write(redis, text, size) != (ssize_t)size)
		return 0;
	return read(redis, reply, sizeof reply) > 0 && reply[0] != '-';
}

/* Finds the places of a name in the command; 0 where these are too many. */
static int find(const char *name, char **places)
{
	size_t n = 0;

	for (char *at = call; (at = memmem(at, call_size - (size_t)(at - call), name, DIGITS)); at += DIGITS) {
		if (n == PLACES)
			return 0;
		places[n++] = at;
	}
	return 1;
}

/* Reads the command; 0 where that fails. */
static int read_call(const char *path)
{
	FILE *file = fopen(path, "rb");

	if (!file)
		return 0;
	call_size = fread(call, 1, sizeof call, file);
	fclose(file);
	return call_size > 0 && call_size < sizeof call && find("__rand_int__", tickets) && find("__next_int__", numbers);
}

static void fill(char **places, unsigned long number)
{
	char text[DIGITS + 1];

	snprintf(text, sizeof text, "%0*lu", DIGITS, number);
	for (; *places; places++)
		memcpy(*places, text, DIGITS);
}

/* Sends the command to Redis; 0 where that fails. */
static int make_call(void)
{
	static unsigned long count;

	count++;
	fill(tickets, count % TICKETS);
	fill(numbers, count);
	return command(call, call_size);
}

/* Connects to Redis; 0 where that fails. */
static int connect_redis(const char *path, const char *password)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	char login[256];

	if (strlen(path) >= sizeof address.sun_path)
		return 0;
	strcpy(address.sun_path, path);
	redis = socket(AF_UNIX, SOCK_STREAM, 0);
	int size = snprintf(login, sizeof login, "AUTH %s\r\n", password);

	return connect(redis, (struct sockaddr *)&address, sizeof address) == 0 && command(login, (size_t)size);
}

/* Answers what was read; 0 where the connection is to be closed. */
static int answer(int fd)
{
	static const unsigned char result[] = "\xc0\x81\xa8revision\x01";
	unsigned char in[65536], out[64] = {1, 0, 0, 0, 0x94, 1};
	ssize_t n = read(fd, in, sizeof in);

	/* Behind the header come the array, the type 0 and the id. */
	if (n < HEADER + 3)
		return 0;
	if (redis >= 0 && !make_call())
		return 0;
	size_t id = integer_size(in + HEADER + 2), size = HEADER + 2;

	memcpy(out + size, in + HEADER + 2, id);
	memcpy(out + size + id, result, sizeof result - 1);
	size += id + sizeof result - 1;
	out[3] = (unsigned char)(size - HEADER);
	return write(fd, out, size) == (ssize_t)size;
}

int main(int argc, char **argv)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct epoll_event event = {.events = EPOLLIN}, ready[EVENTS];

	if ((argc != 2 && argc != 5) || strlen(argv[1]) >= sizeof address.sun_path) {
		fprintf(stderr, "usage: echo SOCKET [REDIS-SOCKET PASSWORD COMMAND-FILE]\n");
		return 2;
	}
	strcpy(address.sun_path, argv[1]);
	int listener = socket(AF_UNIX, SOCK_STREAM, 0), epoll = epoll_create1(0);

	if (argc == 5 && (!connect_redis(argv[2], argv[3]) || !read_call(argv[4]) || !make_call())) {
		fprintf(stderr, "echo: Redis refuses\n");
		return 1;
	}
	event.data.fd = listener;
	if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 4096) ||
	    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event)) {
		perror("echo");
		return 1;
	}
	puts("ready");
	fflush(stdout);
	for (;;) {
		int n = epoll_wait(epoll, ready, EVENTS, -1);

		for (int i = 0; i < n; i++) {
			if (ready[i].data.fd != listener) {
				if (!answer(ready[i].data.fd))
					close(ready[i].data.fd);
				continue;
			}
			event.data.fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
			if (event.data.fd >= 0)
				epoll_ctl(epoll, EPOLL_CTL_ADD, event.data.fd, &event);
		}
	}
}
