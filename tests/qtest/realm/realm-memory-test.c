/*
 * What backs the private memory of a Realm
 *
 * Purpose: private memory is made as the user wants the memory of the machine,
 * but nobody else can map it, whatever the user says.  The kernel says what is
 * true of a mapping: /proc/PID/smaps and numa_maps.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qobject/qdict.h"
#include "qobject/qlist.h"
#include "realm-refusal.h"

#define MACHINE "-machine virt,confidential-guest-support=rme0"
#define OBJECT " -object rme-guest,id=rme0"
#define BACKEND MACHINE ",memory-backend=ram" OBJECT " -m " SIZE

/* The size of the machine's memory, which no other block of RAM has. */
#define SIZE "140M"
#define SIZE_KIB (140 * 1024)
#define SIZE_BYTES " 0x0000000008c00000 "
#define HUGE_PAGES_OF_IT 70

/* One mapping of a process: lines of its files below /proc. */
typedef struct Mapping {
    QTestState *qts;
    uint64_t address;
    char *smaps;                /* its lines, the first with what is mapped */
} Mapping;

static char *read_proc(QTestState *qts, const char *name)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/%s", qtest_pid(qts),
                                            name);
    char *text = NULL;

    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    return text;
}

static char *smaps_of(QTestState *qts, uint64_t address)
{
    g_autofree char *text = read_proc(qts, "smaps");
    g_auto(GStrv) lines = g_strsplit(text, "\n", 0);
    GString *found = g_string_new(NULL);
    uint64_t begin, end;
    bool here = false;

    for (size_t i = 0; lines[i]; i++) {
        if (sscanf(lines[i], "%" SCNx64 "-%" SCNx64 " ", &begin, &end) == 2) {
            here = begin <= address && address < end;
        }
        if (here) {
            g_string_append_printf(found, "%s\n", lines[i]);
        }
    }
    return g_string_free(found, false);
}

/*
 * Of the two blocks with the size of the machine's memory, private memory has
 * no name, since it is not for migration.
 */
static Mapping find(const char *args, bool private)
{
    Mapping m = { .qts = qtest_initf("-accel tcg -nodefaults -S %s", args) };
    g_autofree char *blocks = qtest_hmp(m.qts, "info ramblock");
    g_auto(GStrv) lines = g_strsplit(blocks, "\n", 0);

    for (size_t i = 0; lines[i]; i++) {
        /* Else the size of its pages comes first. */
        bool named = !g_ascii_isdigit(*g_strchug(lines[i]));

        if (strstr(lines[i], SIZE_BYTES) && named != private) {
            g_assert_cmphex(m.address, ==, 0);
            m.address = strtoull(strrchr(lines[i], 'x') + 1, NULL, 16);
        }
    }
    g_assert_cmphex(m.address, !=, 0);
    m.smaps = smaps_of(m.qts, m.address);
    return m;
}

static void end(Mapping *m)
{
    g_free(m->smaps);
    qtest_quit(m->qts);
}

static uint64_t kib(const Mapping *m, const char *field)
{
    g_autofree char *line = g_strdup_printf("\n%s:", field);
    const char *at = strstr(m->smaps, line);

    g_assert_nonnull(at);
    return strtoull(at + strlen(line), NULL, 10);
}

/* "rw-p 00000000 00:00 0": neither shared, nor of any file. */
static bool is_nobody_elses(const Mapping *m)
{
    unsigned major, minor;
    uint64_t inode;
    char how[5];

    g_assert_cmpint(sscanf(m->smaps, "%*x-%*x %4s %*x %x:%x %" SCNu64, how,
                           &major, &minor, &inode), ==, 4);
    return !strcmp(how, "rw-p") && !major && !minor && !inode;
}

/* ---- Preallocation ---- */

static uint64_t resident(const char *args, bool private)
{
    Mapping m = find(args, private);
    uint64_t rss = kib(&m, "Rss");

    end(&m);
    return rss;
}

#define RAM " -object memory-backend-ram,id=ram,size=" SIZE

static void test_nothing_is_allocated(void)
{
    g_assert_cmpuint(resident(BACKEND RAM, true), ==, 0);
}

static void test_prealloc(void)
{
    g_assert_cmpuint(resident(BACKEND RAM ",prealloc=on", true), ==,
                     SIZE_KIB);
    g_assert_cmpuint(resident(BACKEND RAM ",prealloc=on,prealloc-threads=3",
                              true), ==, SIZE_KIB);
    g_assert_cmpuint(resident("-object thread-context,id=tc " BACKEND RAM
                              ",prealloc=on,prealloc-context=tc", true), ==,
                     SIZE_KIB);
    g_assert_cmpuint(resident(MACHINE OBJECT " -m " SIZE " -mem-prealloc",
                              true), ==, SIZE_KIB);
}

/* The user's word about one backend is before that about all. */
static void test_prealloc_off(void)
{
    g_assert_cmpuint(resident("-mem-prealloc " BACKEND RAM
                              ",prealloc=off", true), ==, 0);
}

/* ---- What has a name ---- */

typedef struct NamedCase {
    const char *claim;
    const char *args;           /* with a file name in it */
} NamedCase;

static const NamedCase named_cases[] = {
    { "a-shared-file",
      BACKEND " -object memory-backend-file,id=ram,size=" SIZE
      ",share=on,mem-path=%s" },
    { "a-file",
      BACKEND " -object memory-backend-file,id=ram,size=" SIZE
      ",share=off,mem-path=%s" },
    { "mem-path", MACHINE OBJECT " -m " SIZE " -mem-path %s" },
};

static unsigned count(const char *text, const char *word)
{
    unsigned n = 0;

    while ((text = strstr(text, word))) {
        text += strlen(word);
        n++;
    }
    return n;
}

/* A file shows the shared view, and there is only one of it. */
static void test_named(gconstpointer data)
{
    const NamedCase *c = data;
    g_autofree char *folder = g_dir_make_tmp("realm-memory-XXXXXX", NULL);
    g_autofree char *file = g_build_filename(folder, "ram", NULL);
    g_autofree char *args = g_strdup_printf(c->args, file);
    Mapping m = find(args, true);
    g_autofree char *maps = read_proc(m.qts, "maps");

    g_assert_true(is_nobody_elses(&m));
    g_assert_cmpuint(count(maps, file), ==, 1);
    end(&m);
    unlink(file);
    rmdir(folder);
}

/* Memory without a name can be mapped by whoever gets its descriptor. */
static void test_shared(void)
{
    static const char *const args[] = {
        BACKEND RAM ",share=on",
        BACKEND " -object memory-backend-memfd,id=ram,size=" SIZE,
        BACKEND " -object memory-backend-shm,id=ram,size=" SIZE,
    };

    for (size_t i = 0; i < ARRAY_SIZE(args); i++) {
        Mapping m = find(args[i], true);

        g_assert_true(is_nobody_elses(&m));
        end(&m);
    }
}

/* ---- Huge pages, and nodes ---- */

static uint64_t free_huge_pages(void)
{
    g_autofree char *text = NULL;

    return g_file_get_contents("/sys/kernel/mm/hugepages/hugepages-2048kB/"
                               "free_hugepages", &text, NULL, NULL)
        ? strtoull(text, NULL, 10) : 0;
}

#define HUGE BACKEND " -object memory-backend-memfd,id=ram,size=" SIZE \
             ",hugetlb=on,hugetlbsize=2M"

/* The memfd that chooses the size of pages is mapped, but never written. */
static void test_huge_pages(void)
{
    Mapping m;

    if (free_huge_pages() < 2 * HUGE_PAGES_OF_IT) {
        g_test_skip("the kernel has less than 140 free huge pages of 2 MiB; "
                    "set vm.nr_hugepages");
        return;
    }
    m = find(HUGE, true);
    g_assert_cmpuint(kib(&m, "KernelPageSize"), ==, 2048);
    g_assert_nonnull(strstr(m.smaps, " rw-p "));
    g_assert_cmpuint(kib(&m, "Private_Hugetlb"), ==, 0);
    end(&m);

    m = find(HUGE ",prealloc=on", true);
    g_assert_cmpuint(kib(&m, "Private_Hugetlb"), ==, SIZE_KIB);
    g_assert_cmpuint(kib(&m, "Shared_Hugetlb"), ==, 0);
    end(&m);
}

/* Enough for what devices see, and none for the Realm's own memory. */
static void test_few_huge_pages(void)
{
    uint64_t pages = free_huge_pages();
    g_autofree char *args = NULL;

    if (pages < 8 || pages > 4096) {
        g_test_skip("the kernel has less than 8 free huge pages of 2 MiB, or "
                    "very many; set vm.nr_hugepages");
        return;
    }
    pages -= pages / 4;
    args = g_strdup_printf(MACHINE ",memory-backend=ram" OBJECT " -m %" PRIu64
                           "M -object memory-backend-memfd,id=ram,size=%"
                           PRIu64 "M,hugetlb=on", 2 * pages, 2 * pages);
    check_refused(args, "no private memory like the memory of the machine",
                  "a Realm has both");
}

static void test_nodes(void)
{
#ifdef CONFIG_NUMA
    g_autofree char *place = NULL, *maps = NULL;
    Mapping m;

    if (!g_file_test("/proc/self/numa_maps", G_FILE_TEST_EXISTS)) {
        g_test_skip("the kernel has no NUMA policies");
        return;
    }
    m = find(BACKEND RAM ",policy=bind,host-nodes=0", true);
    maps = read_proc(m.qts, "numa_maps");
    place = g_strdup_printf("%" PRIx64 " bind:0", m.address);
    g_assert_nonnull(strstr(maps, place));
    end(&m);
#else
    g_test_skip("QEMU was built without libnuma, so it refuses policies");
#endif
}

/* object-del would take the Realm's memory away. */
static void test_is_no_object_of_the_user(void)
{
    QTestState *qts = qtest_init("-accel tcg -nodefaults -S " BACKEND RAM);
    QDict *answer = qtest_qmp(qts, "{'execute': 'object-del',"
                              " 'arguments': {'id': 'realm-private'}}");

    g_assert_true(qdict_haskey(answer, "error"));
    qobject_unref(answer);
    answer = qtest_qmp(qts, "{'execute': 'query-memdev'}");
    g_assert_cmpuint(qlist_size(qdict_get_qlist(answer, "return")), ==, 1);
    qobject_unref(answer);
    qtest_quit(qts);
}

/* The user may call an object as ours is called: it is another one. */
static void test_names_do_not_clash(void)
{
    Mapping m = find(MACHINE ",memory-backend=realm-private" OBJECT " -m " SIZE
                     " -object memory-backend-memfd,id=realm-private,size="
                     SIZE, true);

    g_assert_true(is_nobody_elses(&m));
    end(&m);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);

    qtest_add_func("/realm/memory/is-not-allocated-before-it-is-used",
                   test_nothing_is_allocated);
    qtest_add_func("/realm/memory/prealloc-allocates-private-memory",
                   test_prealloc);
    qtest_add_func("/realm/memory/prealloc-off-beats-mem-prealloc",
                   test_prealloc_off);
    for (size_t i = 0; i < ARRAY_SIZE(named_cases); i++) {
        g_autofree char *path = g_strdup_printf("/realm/memory/is-not-in-%s",
                                                named_cases[i].claim);

        qtest_add_data_func(path, &named_cases[i], test_named);
    }
    qtest_add_func("/realm/memory/is-not-shared", test_shared);
    qtest_add_func("/realm/memory/has-huge-pages", test_huge_pages);
    qtest_add_func("/realm/memory/too-few-huge-pages-are-said-to-be-so",
                   test_few_huge_pages);
    qtest_add_func("/realm/memory/is-on-the-nodes-of-the-machines",
                   test_nodes);
    qtest_add_func("/realm/memory/is-no-object-of-the-user",
                   test_is_no_object_of_the_user);
    qtest_add_func("/realm/memory/names-do-not-clash",
                   test_names_do_not_clash);
    return g_test_run();
}
