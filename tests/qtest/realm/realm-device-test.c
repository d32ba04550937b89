/*
 * Devices for which the test guest's kernel has no driver, at a Realm
 *
 * Purpose: an xHCI controller moves data between pages that the Realm shares,
 * at addresses with the shared bit; a balloon takes a page of the shared view
 * and leaves the private page at the same address alone.
 *
 * How: a payload in the Realm that this test commands (realm-servant.h) has the
 * memory; qtest's own accesses are the driver's.  The numbers are those of the
 * specifications, xHCI 1.2 and virtio 1.2.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "tests/qtest/libqos/generic-pcihost.h"
#include "realm-servant.h"

#define PAGE_SIZE 0x1000
#define PAGE 0x40300000

#define MARKER 0x5245414c4d4f4e45ULL
#define OTHER 0x6e6f742061207365ULL

/* ---- xHCI ---- */

#define COMMANDS PAGE
#define SEGMENTS (PAGE + PAGE_SIZE)
#define EVENTS (PAGE + 2 * PAGE_SIZE)
#define EVENTS_IN_RING 16

#define CAP_LENGTH 0x00
#define CAP_DOORBELLS 0x14
#define CAP_RUNTIME 0x18
#define OP_COMMAND 0x00
#define OP_COMMAND_RING 0x18
#define RUN_SEGMENTS_SIZE 0x28
#define RUN_SEGMENTS 0x30
#define RUN_NEXT_EVENT 0x38

#define TRB_CYCLE 1u
#define TRB_TYPE(n) ((uint32_t)(n) << 10)
#define NO_OP_COMMAND 23
#define COMMAND_COMPLETION 33
#define SUCCESS 1u

static void set_address(QPCIDevice *dev, QPCIBar bar, uint64_t reg,
                        uint64_t value)
{
    qpci_io_writel(dev, bar, reg, value);
    qpci_io_writel(dev, bar, reg + 4, value >> 32);
}

/* Tell the controller where its rings are, and run it. */
static void start_xhci(QPCIDevice *dev, QPCIBar bar)
{
    uint64_t op = qpci_io_readb(dev, bar, CAP_LENGTH);
    uint64_t run = qpci_io_readl(dev, bar, CAP_RUNTIME);

    set_address(dev, bar, op + OP_COMMAND_RING,
                SHARED | COMMANDS | TRB_CYCLE);
    qpci_io_writel(dev, bar, run + RUN_SEGMENTS_SIZE, 1);
    set_address(dev, bar, run + RUN_NEXT_EVENT, SHARED | EVENTS);
    set_address(dev, bar, run + RUN_SEGMENTS, SHARED | SEGMENTS);
    qpci_io_writel(dev, bar, op + OP_COMMAND, 1);
}

static void test_xhci(void)
{
    QGenericPCIBus host = { 0 };
    QPCIDevice *dev;
    QPCIBar bar;
    uint64_t event;
    Servant s;

    servant_start(&s, "-device qemu-xhci,addr=4 -device usb-kbd");
    for (uint64_t page = COMMANDS; page <= EVENTS; page += PAGE_SIZE) {
        servant_store(&s, page, MARKER);
    }
    servant_store(&s, SHARED | COMMANDS, 0);
    servant_store(&s, SHARED | (COMMANDS + 8),
                  (TRB_TYPE(NO_OP_COMMAND) | TRB_CYCLE) * (1ULL << 32));
    servant_store(&s, SHARED | SEGMENTS, SHARED | EVENTS);
    servant_store(&s, SHARED | (SEGMENTS + 8), EVENTS_IN_RING);

    qpci_init_generic(&host, s.qts, NULL, false);
    dev = qpci_device_find(&host.bus, QPCI_DEVFN(4, 0));
    g_assert_nonnull(dev);
    qpci_device_enable(dev);
    bar = qpci_iomap(dev, 0, NULL);
    start_xhci(dev, bar);
    qpci_io_writel(dev, bar, qpci_io_readl(dev, bar, CAP_DOORBELLS), 0);

    servant_wait(&s, EVENTS, SHARED | COMMANDS);
    event = servant_load(&s, SHARED | (EVENTS + 8));
    g_assert_cmphex(extract64(event, 24, 8), ==, SUCCESS);
    g_assert_cmphex(extract64(event, 42, 6), ==, COMMAND_COMPLETION);
    g_assert_cmphex(servant_load(&s, SHARED | EVENTS), ==, SHARED | COMMANDS);
    for (uint64_t page = COMMANDS; page <= EVENTS; page += PAGE_SIZE) {
        g_assert_cmphex(servant_load(&s, page), ==, MARKER);
    }
    g_free(dev);
    servant_quit(&s);
}

/* ---- virtio-balloon, on virtio-mmio ---- */

#define BALLOON " -device virtio-balloon-device,bus=virtio-mmio-bus.0," \
                "free-page-reporting=on"
#define MMIO 0x0a000000

#define MMIO_VERSION 0x004
#define MMIO_DRIVER_FEATURES 0x020
#define MMIO_DRIVER_FEATURES_SEL 0x024
#define MMIO_QUEUE_SEL 0x030
#define MMIO_QUEUE_NUM 0x038
#define MMIO_QUEUE_READY 0x044
#define MMIO_QUEUE_NOTIFY 0x050
#define MMIO_STATUS 0x070
#define MMIO_QUEUE_DESC 0x080
#define MMIO_QUEUE_DRIVER 0x090
#define MMIO_QUEUE_DEVICE 0x0a0

#define STATUS_ACKNOWLEDGE 1
#define STATUS_DRIVER 2
#define STATUS_DRIVER_OK 4
#define STATUS_FEATURES_OK 8

#define FEATURE_REPORTING BIT(5)
#define FEATURES_VERSION_1_AND_PLATFORM (BIT(0) | BIT(1)) /* from bit 32 */

#define INFLATE_QUEUE 0
#define REPORTING_QUEUE 3       /* after deflation and statistics */

#define DESC_WRITE 2
/* Of a queue, in its page. */
#define DESCRIPTOR(queue) (PAGE + 0x10000 + (queue) * PAGE_SIZE)
#define DRIVER_AREA(queue) (DESCRIPTOR(queue) + 0x100)
#define DEVICE_AREA(queue) (DESCRIPTOR(queue) + 0x200)
#define BUFFER(queue) (DESCRIPTOR(queue) + 0x300)

static uint32_t balloon_start(Servant *s, uint32_t features)
{
    uint8_t status = STATUS_ACKNOWLEDGE | STATUS_DRIVER;

    g_assert_cmphex(qtest_readl(s->qts, MMIO + MMIO_VERSION), ==, 2);
    qtest_writel(s->qts, MMIO + MMIO_STATUS, status);
    qtest_writel(s->qts, MMIO + MMIO_DRIVER_FEATURES_SEL, 0);
    qtest_writel(s->qts, MMIO + MMIO_DRIVER_FEATURES, FEATURE_REPORTING);
    qtest_writel(s->qts, MMIO + MMIO_DRIVER_FEATURES_SEL, 1);
    qtest_writel(s->qts, MMIO + MMIO_DRIVER_FEATURES, features);
    qtest_writel(s->qts, MMIO + MMIO_STATUS, status | STATUS_FEATURES_OK);
    return qtest_readl(s->qts, MMIO + MMIO_STATUS);
}

static void queue_start(Servant *s, unsigned queue)
{
    const struct {
        uint32_t reg, addr;
    } areas[] = {
        { MMIO_QUEUE_DESC, DESCRIPTOR(queue) },
        { MMIO_QUEUE_DRIVER, DRIVER_AREA(queue) },
        { MMIO_QUEUE_DEVICE, DEVICE_AREA(queue) },
    };

    qtest_memset(s->qts, DESCRIPTOR(queue), 0, PAGE_SIZE);
    qtest_writel(s->qts, MMIO + MMIO_QUEUE_SEL, queue);
    qtest_writel(s->qts, MMIO + MMIO_QUEUE_NUM, 4);
    for (size_t i = 0; i < ARRAY_SIZE(areas); i++) {
        qtest_writel(s->qts, MMIO + areas[i].reg, areas[i].addr);
        qtest_writel(s->qts, MMIO + areas[i].reg + 4, SHARED >> 32);
    }
    qtest_writel(s->qts, MMIO + MMIO_QUEUE_READY, 1);
}

/* Give the device @size bytes at @addr, and wait until it is done. */
static void queue_give(Servant *s, unsigned queue, uint64_t addr,
                       uint32_t size, uint16_t flags)
{
    uint16_t count = qtest_readw(s->qts, DRIVER_AREA(queue) + 2);
    gint64 end = g_get_monotonic_time() + 60 * G_TIME_SPAN_SECOND;

    qtest_writeq(s->qts, DESCRIPTOR(queue), addr);
    qtest_writel(s->qts, DESCRIPTOR(queue) + 8, size);
    qtest_writew(s->qts, DESCRIPTOR(queue) + 12, flags);
    qtest_writew(s->qts, DRIVER_AREA(queue) + 2, ++count);
    qtest_writel(s->qts, MMIO + MMIO_QUEUE_NOTIFY, queue);
    while (qtest_readw(s->qts, DEVICE_AREA(queue) + 2) != count) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(200);
    }
}

static int64_t private_pages(Servant *s)
{
    QDict *realm = qtest_qmp_assert_success_ref(s->qts,
                                                "{'execute': 'query-realm'}");
    int64_t pages = qdict_get_int(realm, "private-pages");

    qobject_unref(realm);
    return pages;
}

/* Each of these is what a driver may call the page. */
static const uint64_t names[] = { PAGE, SHARED | PAGE };

static void balloon_servant(Servant *s)
{
    servant_start(s, BALLOON);
    g_assert_true(balloon_start(s, FEATURES_VERSION_1_AND_PLATFORM) &
                  STATUS_FEATURES_OK);
    queue_start(s, INFLATE_QUEUE);
    queue_start(s, REPORTING_QUEUE);
    qtest_writel(s->qts, MMIO + MMIO_STATUS,
                 STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK |
                 STATUS_DRIVER_OK);
}

static void fill_page(Servant *s)
{
    servant_store(s, PAGE, MARKER);
    servant_store(s, SHARED | PAGE, OTHER);
    g_assert_cmphex(qtest_readq(s->qts, PAGE), ==, OTHER);
}

/* The host has got the shared page back, and nothing else. */
static void check_given_up(Servant *s, int64_t pages)
{
    g_assert_cmphex(qtest_readq(s->qts, PAGE), ==, 0);
    g_assert_cmphex(servant_load(s, SHARED | PAGE), ==, 0);
    g_assert_cmphex(servant_load(s, PAGE), ==, MARKER);
    g_assert_cmpint(private_pages(s), ==, pages);
}

static void test_inflate(void)
{
    Servant s;

    balloon_servant(&s);
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        int64_t pages;

        fill_page(&s);
        pages = private_pages(&s);
        qtest_writel(s.qts, BUFFER(INFLATE_QUEUE), names[i] / PAGE_SIZE);
        queue_give(&s, INFLATE_QUEUE, SHARED | BUFFER(INFLATE_QUEUE), 4, 0);
        check_given_up(&s, pages);
    }
    servant_quit(&s);
}

static void test_report(void)
{
    Servant s;

    balloon_servant(&s);
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        int64_t pages;

        fill_page(&s);
        pages = private_pages(&s);
        queue_give(&s, REPORTING_QUEUE, names[i], PAGE_SIZE, DESC_WRITE);
        check_given_up(&s, pages);
    }
    servant_quit(&s);
}

/* As Linux's driver does, which wants to use private addresses. */
static void test_without_platform(void)
{
    Servant s;

    servant_start(&s, BALLOON);
    g_assert_false(balloon_start(&s, BIT(0)) & STATUS_FEATURES_OK);
    servant_store(&s, PAGE, MARKER);
    g_assert_cmphex(servant_load(&s, PAGE), ==, MARKER);
    servant_quit(&s);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/realm/device/xhci-moves-data-of-shared-pages", test_xhci);
    qtest_add_func("/realm/device/a-balloon-takes-a-shared-page-only",
                   test_inflate);
    qtest_add_func("/realm/device/a-free-page-that-is-reported-is-a-shared-one",
                   test_report);
    qtest_add_func("/realm/device/a-balloon-refuses-private-addresses",
                   test_without_platform);
    return g_test_run();
}
