/*
 * A link between two network namespaces, for a kernel without netem: two TUN
 * devices, and this program, which carries packets from one to the other at a
 * rate, after a delay, and loses some
 *
 *     wire NAMESPACE ADDRESS NAMESPACE ADDRESS MBIT DELAY_US LOSS SEED MTU
 *
 * DELAY_US is that of one way, LOSS a share of the packets of MTU bytes.  It
 * says "ready" and works until it is ended.  A direction has a thread and a
 * queue of its own; only that thread touches it.  What the link has no room
 * for is lost, as at a switch: the queue holds a round trip, or 2 ms.
 *
 * Without loss, packets are as large as the kernel makes them (GSO) and count
 * as the packets of MTU bytes that they stand for; with loss there is no GSO,
 * since a loss would take all of those.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SLOTS      16384u               /* packets under way */
#define MAX_PACKET (65536u + sizeof(struct virtio_net_hdr))
#define FRAME      38u                  /* of Ethernet, beside a packet */
#define HEADERS    52u                  /* IP and TCP of a segment */
#define MIN_QUEUE  2000000ull           /* ns */

struct packet {
    uint64_t due;                       /* ns */
    size_t len;
    uint8_t *bytes;
};

struct way {
    int in, out;
    uint64_t mbit, delay, room;         /* delay and room in ns */
    uint64_t loss;                      /* of 2^32 */
    uint64_t random;
    uint64_t free;                      /* when the link has sent all so far */
    struct packet *packets;             /* a ring */
    uint32_t first, last;
    uint64_t carried, lost, dropped;
};

static void require(bool ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "wire: %s: %s; it needs root and /dev/net/tun\n", what,
                strerror(errno));
        exit(1);
    }
}

static uint64_t now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static uint32_t next_random(struct way *w)
{
    w->random ^= w->random << 13;
    w->random ^= w->random >> 7;
    w->random ^= w->random << 17;
    return w->random >> 32;
}

/* ---- TUN devices ---- */

static void enter_namespace(const char *name)
{
    char path[256];
    int fd;

    snprintf(path, sizeof(path), "/run/netns/%s", name);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    require(fd >= 0 && !setns(fd, CLONE_NEWNET), path);
    close(fd);
}

static void set_address(struct ifreq *ifr, const char *text)
{
    struct sockaddr_in *address = (struct sockaddr_in *)&ifr->ifr_addr;

    memset(address, 0, sizeof(*address));
    address->sin_family = AF_INET;
    require(inet_pton(AF_INET, text, &address->sin_addr) == 1, text);
}

static void bring_up(const char *address, int mtu)
{
    struct ifreq ifr = { .ifr_name = "wire" };
    int fd = socket(AF_INET, SOCK_DGRAM, 0);

    set_address(&ifr, address);
    require(!ioctl(fd, SIOCSIFADDR, &ifr), "SIOCSIFADDR");
    set_address(&ifr, "255.255.255.0");
    require(!ioctl(fd, SIOCSIFNETMASK, &ifr), "SIOCSIFNETMASK");
    ifr.ifr_mtu = mtu;
    require(!ioctl(fd, SIOCSIFMTU, &ifr), "SIOCSIFMTU");
    ifr.ifr_qlen = 10000;
    require(!ioctl(fd, SIOCSIFTXQLEN, &ifr), "SIOCSIFTXQLEN");
    ifr.ifr_flags = IFF_UP | IFF_RUNNING;
    require(!ioctl(fd, SIOCSIFFLAGS, &ifr), "SIOCSIFFLAGS");
    close(fd);
}

static int make_tun(const char *namespace, const char *address, int mtu,
                    bool gso)
{
    struct ifreq ifr = { .ifr_name = "wire",
                         .ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR };
    unsigned offload = gso ? TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 : TUN_F_CSUM;
    int fd;

    enter_namespace(namespace);
    fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    require(fd >= 0, "/dev/net/tun");
    require(!ioctl(fd, TUNSETIFF, &ifr), "TUNSETIFF");
    require(!ioctl(fd, TUNSETOFFLOAD, offload), "TUNSETOFFLOAD");
    bring_up(address, mtu);
    return fd;
}

/* ---- One way of the link ---- */

/* Bytes on an Ethernet, with the headers of each segment. */
static uint64_t wire_bytes(const struct packet *p)
{
    const struct virtio_net_hdr *h = (const void *)p->bytes;
    uint64_t len = p->len - sizeof(*h), segments = 1;

    if (h->gso_type != VIRTIO_NET_HDR_GSO_NONE && h->gso_size) {
        segments = (len - HEADERS + h->gso_size - 1) / h->gso_size;
    }
    return len + (segments - 1) * HEADERS + segments * FRAME;
}

/* Puts the packet behind the others, unless it is lost. */
static void accept_packet(struct way *w, struct packet *p)
{
    uint64_t time = now(), start = w->free > time ? w->free : time;

    if (w->loss && next_random(w) < w->loss) {
        w->lost++;
    } else if (start - time > w->room) {
        w->dropped++;
    } else {
        w->free = start + wire_bytes(p) * 8000 / w->mbit;
        p->due = w->free + w->delay;
        w->last++;
    }
}

static void take_packets(struct way *w)
{
    while (w->last - w->first < SLOTS) {
        struct packet *p = &w->packets[w->last % SLOTS];
        ssize_t n = read(w->in, p->bytes, MAX_PACKET);

        if (n <= (ssize_t)sizeof(struct virtio_net_hdr)) {
            return;
        }
        p->len = n;
        accept_packet(w, p);
    }
}

/* Returns when the next one is due, or 0 if there is none. */
static uint64_t deliver_packets(struct way *w)
{
    while (w->first != w->last) {
        struct packet *p = &w->packets[w->first % SLOTS];

        if (p->due > now()) {
            return p->due;
        }
        if (write(w->out, p->bytes, p->len) < 0) {
            w->dropped++;
        }
        w->carried += p->len;
        w->first++;
    }
    return 0;
}

static void *carry(void *opaque)
{
    struct way *w = opaque;
    struct pollfd in = { .fd = w->in, .events = POLLIN };

    prctl(PR_SET_TIMERSLACK, 1ul);
    for (;;) {
        uint64_t due = deliver_packets(w), time = now();
        uint64_t left = due > time ? due - time : 0;
        struct timespec wait = { left / 1000000000, left % 1000000000 };

        ppoll(&in, 1, due ? &wait : NULL, NULL);
        take_packets(w);
    }
    return NULL;
}

static void start(struct way *w, int in, int out, char **numbers,
                  uint64_t salt)
{
    pthread_t thread;
    uint32_t i;

    w->in = in;
    w->out = out;
    w->mbit = strtoull(numbers[0], NULL, 10);
    w->delay = strtoull(numbers[1], NULL, 10) * 1000;
    w->loss = strtod(numbers[2], NULL) * 4294967296.0;
    w->random = strtoull(numbers[3], NULL, 10) * 2 + salt;
    w->room = 2 * w->delay > MIN_QUEUE ? 2 * w->delay : MIN_QUEUE;
    require(w->mbit && w->random, "MBIT and SEED must not be 0");
    w->packets = calloc(SLOTS, sizeof(*w->packets));
    require(w->packets != NULL, "memory");
    for (i = 0; i < SLOTS; i++) {
        w->packets[i].bytes = malloc(MAX_PACKET);
        require(w->packets[i].bytes != NULL, "memory");
    }
    require(!pthread_create(&thread, NULL, carry, w), "pthread_create");
}

int main(int argc, char **argv)
{
    static struct way ways[2];
    bool gso = argc == 10 && strtod(argv[7], NULL) == 0;
    int a, b;

    if (argc != 10) {
        fprintf(stderr, "usage: wire NAMESPACE ADDRESS NAMESPACE ADDRESS MBIT "
                "DELAY_US LOSS SEED MTU\n");
        return 2;
    }
    a = make_tun(argv[1], argv[2], atoi(argv[9]), gso);
    b = make_tun(argv[3], argv[4], atoi(argv[9]), gso);
    start(&ways[0], a, b, argv + 5, 1);
    start(&ways[1], b, a, argv + 5, 2);
    printf("ready\n");
    fflush(stdout);
    getchar();                          /* until our starter hangs up */
    printf("lost %lu and %lu, no room for %lu and %lu\n", ways[0].lost,
           ways[1].lost, ways[0].dropped, ways[1].dropped);
    return 0;
}
