/*
 * Memory tags of an ordinary VM (accel/kvm/realm/tags.c)
 *
 * Purpose: KVM_ARM_MTE_COPY_TAGS, with its one tag a byte, its partial
 * results and its EBUSY, as a kernel without the interface for lists has it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <sys/mman.h>
#include "qapi/error.h"
#include "qemu/units.h"
#include "accel/kvm/realm/realm-kvm.h"
#include "internal.h"
#include "machine.h"

#define BASE    (1 * GiB)
#define SIZE    (4 * MiB)
#define PAGES   1024

static KVMState state;
static void *ram;
static size_t page_size;

static int set_slot(uint32_t flags)
{
    struct kvm_userspace_memory_region2 region = {
        .flags = flags, .guest_phys_addr = BASE, .memory_size = SIZE,
        .userspace_addr = QEMU_ALIGN_UP((uintptr_t)ram, 64 * KiB),
    };

    return kvm_vm_ioctl(&state, KVM_SET_USER_MEMORY_REGION2, &region);
}

static void start(size_t size)
{
    DoubleOptions options = { "mainline", size, .mte = true };
    struct kvm_enable_cap mte = { .cap = KVM_CAP_ARM_MTE };

    page_size = size;
    double_start(&options);
    ram = mmap(NULL, SIZE + 64 * KiB, PROT_READ | PROT_WRITE,
               MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    state.fd = double_open(DOUBLE_SYSTEM, NULL, NULL);
    state.vmfd = kvm_ioctl(&state, KVM_CREATE_VM, 40);
    kvm_state = &state;
    g_assert_cmpint(kvm_vm_ioctl(&state, KVM_ENABLE_CAP, &mte), ==, 0);
    g_assert_cmpint(set_slot(0), ==, 0);
}

static void end(void)
{
    double_set_hook(NULL, NULL);
    close(state.vmfd);
    close(state.fd);
    munmap(ram, SIZE + 64 * KiB);
    double_stop();
}

/* Runs of host pages, with holes between them. */
static unsigned list_pages(uint64_t list[PAGES])
{
    unsigned step = page_size / KVM_ARM_REALM_GRANULE, n = 0;

    for (unsigned page = 0; page < PAGES; page += step) {
        if (page / step % 5 != 3) {
            for (unsigned i = 0; i < step; i++) {
                list[n++] = BASE + (page + i) * KVM_ARM_REALM_GRANULE;
            }
        }
    }
    return n;
}

static void check_copies(void)
{
    g_autofree uint64_t *list = g_new(uint64_t, PAGES);
    unsigned n = list_pages(list);
    size_t size = (size_t)n * KVM_ARM_TAG_BYTES;
    g_autofree uint8_t *tags = g_malloc(size), *back = g_malloc0(size);

    for (size_t i = 0; i < size; i++) {
        tags[i] = i * 11 + i / 128;
    }
    g_assert_true(realm_kvm_copy_tags(list, n, tags, true, &error_abort));
    g_assert_true(realm_kvm_copy_tags(list, n, back, false, &error_abort));
    g_assert_cmpmem(tags, size, back, size);
}

static void test_copies(void)
{
    static const size_t sizes[] = { 4 * KiB, 16 * KiB, 64 * KiB };

    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        start(sizes[i]);
        check_copies();
        end();
    }
}

/* The kernel does a page at a time, and is interrupted every third time. */
static void slowly(DoubleCall *call, bool after, void *unused)
{
    if (!after) {
        call->partly = true;
        call->ret = call->number % 3 ? 0 : -EINTR;
    }
}

static void test_partly(void)
{
    start(16 * KiB);
    double_set_hook(slowly, NULL);
    check_copies();
    end();
}

static void check_refused_of(unsigned pages, bool to_guest, const char *why)
{
    uint64_t list[16];
    uint8_t tags[16 * KVM_ARM_TAG_BYTES] = { 0 };
    Error *err = NULL;

    for (unsigned i = 0; i < ARRAY_SIZE(list); i++) {
        list[i] = BASE + i * KVM_ARM_REALM_GRANULE;
    }
    g_assert_false(realm_kvm_copy_tags(list, pages, tags, to_guest, &err));
    g_test_message("%s", error_get_pretty(err));
    g_assert_nonnull(strstr(error_get_pretty(err), "KVM_ARM_MTE_COPY_TAGS"));
    g_assert_nonnull(strstr(error_get_pretty(err), why));
    error_free(err);
}

static void check_refused(bool to_guest, const char *why)
{
    check_refused_of(16, to_guest, why);
}

static void test_busy(void)
{
    start(4 * KiB);
    g_assert_cmpint(set_slot(KVM_MEM_LOG_DIRTY_PAGES), ==, 0);
    check_refused(true, strerror(EBUSY));
    g_assert_cmpint(set_slot(0), ==, 0);
    check_copies();
    end();
}

static int the_lie;

static void lie(DoubleCall *call, bool after, void *unused)
{
    if (after) {
        call->ret = the_lie;
    }
}

static void test_lies(void)
{
    static const int lies[] = { 0, 100, 16 * 4096 + 4096, INT_MAX };

    for (size_t i = 0; i < ARRAY_SIZE(lies); i++) {
        start(4 * KiB);
        the_lie = lies[i];
        double_set_hook(lie, NULL);
        check_refused(i % 2, "the kernel's answer is wrong");
        end();
    }
}

/* Not memory, or nothing of it. */
static void test_no_memory(void)
{
    uint64_t page = 2 * GiB;
    uint8_t tags[KVM_ARM_TAG_BYTES];
    Error *err = NULL;

    start(4 * KiB);
    g_assert_false(realm_kvm_copy_tags(&page, 1, tags, false, &err));
    g_assert_nonnull(strstr(error_get_pretty(err), strerror(EFAULT)));
    error_free(err);
    g_assert_true(realm_kvm_copy_tags(&page, 0, tags, false, &error_abort));
    end();
}

/* The kernel has no less than pages of its own. */
static void test_part_of_host_page(void)
{
    start(64 * KiB);
    double_probing(true);
    check_refused_of(15, false, strerror(EINVAL));
    check_refused_of(15, true, strerror(EINVAL));
    end();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define TEST(name, function) \
    g_test_add_func("/kvm-double/tags/" name, function)
    TEST("come_back_as_they_went", test_copies);
    TEST("a_kernel_may_copy_page_by_page", test_partly);
    TEST("no_write_while_a_dirty_log_is_on", test_busy);
    TEST("refuse_counts_that_make_no_sense", test_lies);
    TEST("refuse_what_is_not_memory", test_no_memory);
    TEST("refuse_a_part_of_a_host_page", test_part_of_host_page);
#undef TEST
    return g_test_run();
}
