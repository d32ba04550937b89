/*
 * What a Realm's private memory is to everyone else, and what shared memory
 * is to the Realm
 *
 * Purpose: devices see the shared view, never a private page, and cannot
 * change one; what asks for private memory in a monitor is refused, and not
 * shown something else; the Realm takes an external abort for a page that it
 * gave away, and for instructions outside of its protection.
 *
 * How: a payload in the Realm that this test commands (realm-servant.h), and
 * fw_cfg as the device that is told to DMA; qtest's own accesses are those of
 * the host.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "realm-servant.h"

/* A page that is private until a test changes that, and shared ones. */
#define PAGE 0x40300000
#define DMA_DESCRIPTOR 0x40210000
#define DMA_BUFFER 0x40211000

#define UART 0x09000000
#define RAM 0x40000000

/* fw_cfg's DMA interface (docs/specs/fw_cfg.rst). */
#define FW_CFG_DMA 0x09020010
#define DMA_ERROR BIT(0)
#define DMA_READ BIT(1)
#define DMA_SELECT BIT(3)
#define DMA_WRITE BIT(4)
#define KEY_SIGNATURE 0x00
#define KEY_DIRECTORY 0x19

#define MARKER 0x5245414c4d4f4e45ULL
#define OTHER 0x6e6f742061207365ULL

/* Syndrome: exception class and fault status code of what was taken. */
#define ESR_CLASS(esr) ((esr) >> 26)
#define ESR_STATUS(esr) ((esr) & 0x3f)
#define ESR_WRITE BIT(6)
#define CLASS_FETCH 0x21
#define CLASS_DATA 0x25
#define STATUS_EXTERNAL_ABORT 0x10

/* A Realm's fw_cfg does not have it unless it is asked for. */
#define WITH_DMA "-global fw_cfg_mem.dma_enabled=on"

/* Tell the device to move @size bytes between @item and memory at @addr. */
static void dma(Servant *s, uint16_t item, uint32_t direction,
                uint32_t size, uint64_t addr)
{
    struct {
        uint32_t control, size;
        uint64_t addr;
    } descriptor = {
        cpu_to_be32((uint32_t)item << 16 | DMA_SELECT | direction),
        cpu_to_be32(size), cpu_to_be64(addr),
    };
    uint64_t where = cpu_to_be64(DMA_DESCRIPTOR);

    qtest_memwrite(s->qts, DMA_DESCRIPTOR, &descriptor, sizeof(descriptor));
    qtest_memwrite(s->qts, FW_CFG_DMA, &where, sizeof(where));
    g_assert_cmphex(qtest_readl(s->qts, DMA_DESCRIPTOR), ==, 0);
}

/* The number of a file of 16 bytes that can be written. */
static uint16_t writable_item(Servant *s)
{
    struct {
        uint32_t size;
        uint16_t item, reserved;
        char name[56];
    } files[64];
    uint32_t count;

    dma(s, KEY_DIRECTORY, DMA_READ, 4 + sizeof(files), DMA_BUFFER);
    qtest_memread(s->qts, DMA_BUFFER, &count, sizeof(count));
    qtest_memread(s->qts, DMA_BUFFER + 4, files, sizeof(files));
    for (uint32_t i = 0; i < MIN(be32_to_cpu(count), 64); i++) {
        if (g_str_equal(files[i].name, "etc/vmcoreinfo")) {
            g_assert_cmpint(be32_to_cpu(files[i].size), ==, 16);
            return be16_to_cpu(files[i].item);
        }
    }
    g_assert_not_reached();
}

static void test_write(void)
{
    const uint32_t signature = 0x554d4551; /* "QEMU" */
    Servant s;

    servant_start(&s, WITH_DMA);
    servant_store(&s, PAGE, MARKER);
    g_assert_cmphex(qtest_readq(s.qts, PAGE), !=, MARKER);

    dma(&s, KEY_SIGNATURE, DMA_READ, 4, PAGE);
    g_assert_cmphex(qtest_readl(s.qts, PAGE), ==, signature);
    g_assert_cmphex(servant_load(&s, PAGE), ==, MARKER);
    g_assert_cmphex((uint32_t)servant_load(&s, SHARED | PAGE), ==, signature);
    servant_quit(&s);
}

static void test_read(void)
{
    uint64_t seen[2];
    uint16_t item;
    Servant s;

    servant_start(&s, WITH_DMA " -device vmcoreinfo");
    item = writable_item(&s);
    servant_store(&s, PAGE, MARKER);
    servant_store(&s, PAGE + 8, MARKER);
    qtest_writeq(s.qts, PAGE, OTHER);
    qtest_writeq(s.qts, PAGE + 8, ~OTHER);

    dma(&s, item, DMA_WRITE, sizeof(seen), PAGE);
    dma(&s, item, DMA_READ, sizeof(seen), DMA_BUFFER);
    qtest_memread(s.qts, DMA_BUFFER, seen, sizeof(seen));
    g_assert_cmphex(le64_to_cpu(seen[0]), ==, OTHER);
    g_assert_cmphex(le64_to_cpu(seen[1]), ==, ~OTHER);
    g_assert_cmphex(servant_load(&s, PAGE), ==, MARKER);
    g_assert_cmphex(servant_load(&s, PAGE + 8), ==, MARKER);
    servant_quit(&s);
}

/* A device that is given a descriptor in private memory finds none there. */
static void test_descriptor(void)
{
    uint64_t where = cpu_to_be64(PAGE);
    uint64_t control = cpu_to_be64((uint64_t)(DMA_SELECT | DMA_READ) << 32 | 4);
    Servant s;

    servant_start(&s, "");
    servant_store(&s, PAGE, le64_to_cpu(control));
    servant_store(&s, PAGE + 8, le64_to_cpu(cpu_to_be64(DMA_BUFFER)));
    qtest_memwrite(s.qts, FW_CFG_DMA, &where, sizeof(where));
    g_assert_cmphex(qtest_readl(s.qts, DMA_BUFFER), ==, 0);
    g_assert_cmphex(servant_load(&s, PAGE), ==, le64_to_cpu(control));
    servant_quit(&s);
}

static void test_shared_bit(void)
{
    const uint32_t signature = 0x554d4551;
    Servant s;

    servant_start(&s, WITH_DMA);
    servant_store(&s, PAGE, MARKER);
    servant_store(&s, SHARED | PAGE, OTHER);
    g_assert_cmphex(qtest_readq(s.qts, PAGE), ==, OTHER);
    g_assert_cmphex(qtest_readq(s.qts, SHARED | PAGE), ==, OTHER);

    dma(&s, KEY_SIGNATURE, DMA_READ, 4, SHARED | (PAGE + 8));
    g_assert_cmphex(qtest_readl(s.qts, PAGE + 8), ==, signature);
    g_assert_cmphex((uint32_t)servant_load(&s, SHARED | (PAGE + 8)), ==,
                    signature);
    g_assert_cmphex(servant_load(&s, PAGE), ==, MARKER);
    servant_quit(&s);
}

/* Whether the file at @path, a copy of 64 MiB, has @value in it. */
static bool file_has(const char *path, uint64_t value)
{
    const uint64_t le = cpu_to_le64(value);
    g_autofree char *data = NULL;
    gsize size;

    g_assert_true(g_file_get_contents(path, &data, &size, NULL));
    g_assert_cmpint(size, ==, 64 << 20);
    return memmem(data, size, &le, sizeof(le)) != NULL;
}

static char *empty_file(void)
{
    char *path = NULL;
    int fd = g_file_open_tmp("realm-dump-XXXXXX", &path, NULL);

    g_assert_cmpint(fd, >=, 0);
    close(fd);
    return path;
}

#define PMEMSAVE "{'execute': 'pmemsave', 'arguments':" \
                 " {'val': %" PRIu64 ", 'size': %" PRIu64 "," \
                 " 'filename': %s}}"

static void save(Servant *s, uint64_t base, uint64_t size, const char *path)
{
    qtest_qmp_assert_success(s->qts, PMEMSAVE, base, size, path);
}

static void test_save_shared(void)
{
    g_autofree char *path = empty_file();
    Servant s;

    servant_start(&s, "");
    servant_store(&s, PAGE, MARKER);
    servant_store(&s, SHARED | PAGE, OTHER);
    save(&s, SHARED | RAM, 64 << 20, path);
    g_assert_false(file_has(path, MARKER));
    g_assert_true(file_has(path, OTHER));
    unlink(path);
    servant_quit(&s);
}

/* One line about @option, with @remedy. */
static void check_refusal(const char *text, const char *option,
                          const char *remedy)
{
    const char *newline = strchr(text, '\n');

    g_assert_true(!newline || !newline[1]);
    g_assert_nonnull(strstr(text, option));
    g_assert_nonnull(strstr(text, remedy));
}

#define CHECK_REFUSES(s, option, remedy, ...)                                \
    do {                                                                     \
        QDict *error_ = qtest_qmp_assert_failure_ref((s)->qts, __VA_ARGS__); \
        check_refusal(qdict_get_str(error_, "desc"), option, remedy);        \
        qobject_unref(error_);                                               \
    } while (0)

/* What is private is not shown, and nothing else in its place. */
static void test_save_private(void)
{
    static const struct {
        uint64_t base, size;
        const char *shared;     /* of the first private byte */
    } looks[] = {
        { RAM, 64 << 20, "0x10040000000" },
        { PAGE + 8, 1, "0x10040300008" },
        { UART, RAM - UART + 1, "0x10040000000" },
        { RAM, UINT64_MAX, "0x10040000000" },
    };
    g_autofree char *path = empty_file();
    struct stat st;
    Servant s;

    servant_start(&s, "");
    servant_store(&s, PAGE, MARKER);
    unlink(path);
    for (size_t i = 0; i < ARRAY_SIZE(looks); i++) {
        CHECK_REFUSES(&s, "is private", looks[i].shared, PMEMSAVE,
                      looks[i].base, looks[i].size, path);
        g_assert_cmpint(stat(path, &st), ==, -1);
    }
    CHECK_REFUSES(&s, "virtual addresses", "use pmemsave or xp",
                  "{'execute': 'memsave', 'arguments': {'val': %d,"
                  " 'size': 4096, 'filename': %s}}", PAGE, path);
    g_assert_cmpint(stat(path, &st), ==, -1);
    g_assert_cmphex(servant_load(&s, PAGE), ==, MARKER);
    servant_quit(&s);
}

/* What is not private memory of the Realm: no error, and no other answer. */
static void test_save_device(void)
{
    g_autofree char *path = empty_file();
    Servant s;

    servant_start(&s, "");
    save(&s, UART, 8, path);
    save(&s, RAM, 0, path);
    unlink(path);
    servant_quit(&s);
}

static void test_dump(void)
{
    g_autofree char *path = empty_file();
    g_autofree char *url = g_strdup_printf("file:%s", path);
    struct stat st;
    Servant s;

    servant_start(&s, "");
    servant_store(&s, PAGE, MARKER);
    unlink(path);
    CHECK_REFUSES(&s, "can be dumped", "use the guest's own means",
                  "{'execute': 'dump-guest-memory', 'arguments':"
                  " {'paging': false, 'protocol': %s}}", url);
    g_assert_cmpint(stat(path, &st), ==, -1);
    g_assert_cmphex(servant_load(&s, PAGE), ==, MARKER);
    servant_quit(&s);
}

static void check_monitor(Servant *s, const char *line, const char *option,
                          const char *remedy)
{
    g_autofree char *text = qtest_hmp(s->qts, "%s", line);

    check_refusal(text, option, remedy);
}

static void test_monitor(void)
{
    g_autofree char *registers = NULL, *shared = NULL, *uart = NULL;
    Servant s;

    servant_start(&s, "");
    servant_store(&s, PAGE, MARKER);
    check_monitor(&s, "xp /2xg 0x40300000", "private", "0x10040300000");
    check_monitor(&s, "xp /i 0x40080000", "private", "0x10040080000");
    check_monitor(&s, "sum 0x40300000 8", "private", "pmemsave and xp");
    check_monitor(&s, "x /2xg 0x40300000", "virtual", "use pmemsave or xp");
    check_monitor(&s, "x /i 0x40080000", "virtual", "use pmemsave or xp");
    check_monitor(&s, "gva2gpa 0x40300000", "virtual", "use pmemsave or xp");
    check_monitor(&s, "gpa2hva 0x40300000", "private", "0x10040300000");
    check_monitor(&s, "gpa2hpa 0x40300000", "private", "0x10040300000");
    registers = qtest_hmp(s.qts, "info registers -a");
    g_assert_null(strstr(registers, "X19="));

    servant_store(&s, SHARED | PAGE, OTHER);
    shared = qtest_hmp(s.qts, "xp /2xg 0x%llx", SHARED | PAGE);
    g_assert_nonnull(strstr(shared, "6e6f742061207365"));
    uart = qtest_hmp(s.qts, "xp /1xw 0x%x", UART + 0xfe0);
    g_assert_nonnull(strstr(uart, "0x00000011"));
    g_assert_cmphex(servant_load(&s, PAGE), ==, MARKER);
    servant_quit(&s);
}

/* Who measures writes in the host's memory sees none of the Realm's. */
static void test_dirty_rate(void)
{
    static const char *const modes[] = {
        "page-sampling", "dirty-bitmap", "dirty-ring",
    };
    QDict *rate;
    Servant s;

    servant_start(&s, "");
    for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
        CHECK_REFUSES(&s, "how fast its private memory is written",
                      "see query-realm-migration",
                      "{'execute': 'calc-dirty-rate', 'arguments':"
                      " {'calc-time': 1, 'mode': %s}}", modes[i]);
    }
    CHECK_REFUSES(&s, "how fast a vCPU writes", "leave it out",
                  "{'execute': 'set-vcpu-dirty-limit',"
                  " 'arguments': {'dirty-rate': 1}}");
    check_monitor(&s, "calc_dirty_rate 1", "how fast its private memory",
                  "see query-realm-migration");
    rate = qtest_qmp_assert_success_ref(s.qts,
                                        "{'execute': 'query-dirty-rate'}");
    g_assert_cmpstr(qdict_get_str(rate, "status"), ==, "unstarted");
    qobject_unref(rate);
    servant_store(&s, PAGE, MARKER);
    g_assert_cmphex(servant_load(&s, PAGE), ==, MARKER);
    servant_quit(&s);
}

static void check_abort(const Servant *s, unsigned class, uint64_t addr)
{
    g_assert_cmphex(ESR_CLASS(s->esr), ==, class);
    g_assert_cmphex(ESR_STATUS(s->esr), ==, STATUS_EXTERNAL_ABORT);
    g_assert_cmphex(s->far, ==, addr);
}

static void test_empty(void)
{
    Servant s;

    servant_start(&s, "");
    servant_store(&s, PAGE, MARKER);
    servant_set_ripas(&s, PAGE, false);

    servant_do(&s, SERVANT_LOAD, PAGE + 8, 0, 0, 0);
    check_abort(&s, CLASS_DATA, PAGE + 8);
    g_assert_false(s.esr & ESR_WRITE);
    servant_do(&s, SERVANT_STORE, PAGE + 16, 1, 2, 0);
    check_abort(&s, CLASS_DATA, PAGE + 16);
    g_assert_true(s.esr & ESR_WRITE);
    servant_do(&s, SERVANT_CALL, PAGE, 0, 0, 0);
    check_abort(&s, CLASS_FETCH, PAGE);
    servant_store(&s, PAGE - 8, MARKER);
    servant_store(&s, PAGE + 0x1000, MARKER);
    servant_quit(&s);
}

/* Neither the host nor the Realm finds old contents in a page that moved. */
static void test_empty_forgets(void)
{
    Servant s;

    servant_start(&s, "");
    servant_store(&s, PAGE, MARKER);
    servant_set_ripas(&s, PAGE, false);
    g_assert_cmphex(qtest_readq(s.qts, PAGE), !=, MARKER);
    servant_set_ripas(&s, PAGE, true);
    g_assert_cmphex(servant_load(&s, PAGE), !=, MARKER);
    servant_store(&s, PAGE, OTHER);
    g_assert_cmphex(servant_load(&s, PAGE), ==, OTHER);
    g_assert_cmphex(qtest_readq(s.qts, PAGE), !=, OTHER);
    servant_quit(&s);
}

static void test_fetch(void)
{
    Servant s;

    servant_start(&s, "");
    servant_store(&s, PAGE, CODE_RET);
    servant_do(&s, SERVANT_CALL, PAGE, 0, 0, 0);
    g_assert_cmphex(s.esr, ==, 0);

    qtest_writeq(s.qts, PAGE, CODE_RET);
    servant_do(&s, SERVANT_CALL, SHARED | PAGE, 0, 0, 0);
    check_abort(&s, CLASS_FETCH, SHARED | PAGE);

    /* Also where a translation for data exists already. */
    g_assert_cmphex(servant_load(&s, SHARED | PAGE), ==, CODE_RET);
    servant_do(&s, SERVANT_CALL, SHARED | PAGE, 0, 0, 0);
    check_abort(&s, CLASS_FETCH, SHARED | PAGE);
    servant_quit(&s);
}

static void test_devices(void)
{
    QDict *reply;
    Servant s;

    servant_start(&s, "-chardev ringbuf,id=uart,size=64 "
                  "-serial chardev:uart");
    servant_do(&s, SERVANT_STORE_BYTE, UART, 'B', 0, 0);
    check_abort(&s, CLASS_DATA, UART);
    servant_do(&s, SERVANT_STORE_BYTE, SHARED | UART, 'A', 0, 0);
    g_assert_cmphex(s.esr, ==, 0);

    reply = qtest_qmp(s.qts, "{'execute': 'ringbuf-read', 'arguments':"
                      " {'device': 'uart', 'size': 64}}");
    g_assert_cmpstr(qdict_get_str(reply, "return"), ==, "A");
    qobject_unref(reply);
    servant_quit(&s);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);

    qtest_add_func("/realm/dma/a-device-never-writes-to-a-private-page",
                   test_write);
    qtest_add_func("/realm/dma/a-device-never-reads-a-private-page",
                   test_read);
    qtest_add_func("/realm/dma/a-device-finds-no-descriptor-in-private-memory",
                   test_descriptor);
    qtest_add_func("/realm/dma/the-shared-bit-leads-to-the-same-shared-page",
                   test_shared_bit);
    qtest_add_func("/realm/host/pmemsave-has-shared-memory-at-its-address",
                   test_save_shared);
    qtest_add_func("/realm/host/pmemsave-and-memsave-refuse-private-memory",
                   test_save_private);
    qtest_add_func("/realm/host/pmemsave-has-what-is-no-memory-of-the-realm",
                   test_save_device);
    qtest_add_func("/realm/host/a-dump-is-refused", test_dump);
    qtest_add_func("/realm/host/the-monitor-shows-shared-memory-only",
                   test_monitor);
    qtest_add_func("/realm/host/the-rate-of-writes-is-not-said-to-be-zero",
                   test_dirty_rate);
    qtest_add_func("/realm/abort/an-empty-page-is-an-external-abort",
                   test_empty);
    qtest_add_func("/realm/abort/a-page-given-away-is-forgotten",
                   test_empty_forgets);
    qtest_add_func("/realm/abort/no-instructions-from-shared-memory",
                   test_fetch);
    qtest_add_func("/realm/abort/devices-are-behind-the-shared-bit",
                   test_devices);
    return g_test_run();
}
