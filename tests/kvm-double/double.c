/*
 * The stand-in kernel: descriptors, and the table of ioctls
 *
 * Purpose: every ioctl comes through here.  The table has a row for each: its
 * name, the kind of descriptor, and the states of a VM in which the interface
 * allows it.
 *
 * Invariants: descriptors are real ones, so that a test can count those that
 * were not closed.  The double notices by the inode that one was closed: of a
 * guest_memfd before the next ioctl, of the others before the next VM.
 *
 * Lock rule: Double.lock covers the list of descriptors.  A handler runs with
 * the lock of its VM, unless its row says `unlocked`; the row is looked at with
 * it in any case.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <sys/mman.h>
#include "qemu/lockable.h"
#include "internal.h"

Double *the_double;

static __thread DoubleCall *current_call;

#define SYSTEM      BIT(DOUBLE_SYSTEM)
#define VM          BIT(DOUBLE_VM)
#define VCPU        BIT(DOUBLE_VCPU)
#define GMEM        BIT(DOUBLE_GMEM)
#define DEVICE      BIT(DOUBLE_DEVICE)

#define NONE        BIT(VM_NONE)
#define NEW         BIT(VM_NEW)
#define ANY         0xff

typedef struct DoubleRow {
    unsigned long request;
    const char *name;
    unsigned kinds;             /* of descriptors */
    unsigned states;            /* of the VM */
    DoubleHandler *handler;
    bool unlocked;
    bool even_dead;             /* the handler looks itself */
    enum { ALWAYS, RME, RMI, MIGRATION, ATTRIBUTES, IN_PLACE } where;
} DoubleRow;

#define ROW(request, kinds, states, handler, ...) \
    { request, #request, kinds, states, handler, ##__VA_ARGS__ }

static const DoubleRow rows[] = {
    ROW(KVM_CREATE_VM,               SYSTEM, ANY, system_create_vm),
    ROW(KVM_CHECK_EXTENSION,         SYSTEM | VM, ANY, check_extension),
    ROW(KVM_ENABLE_CAP,              VM, ANY, vm_enable_cap),
    ROW(KVM_ARM_PREFERRED_TARGET,    VM, ANY, vm_preferred_target),
    ROW(KVM_CREATE_VCPU,             VM, NONE, vm_create_vcpu),
    ROW(KVM_CREATE_DEVICE,           VM, NONE, vm_create_device),
    ROW(KVM_CREATE_GUEST_MEMFD,      VM, ANY, vm_create_gmem),
    ROW(KVM_SET_USER_MEMORY_REGION,  VM, ANY, vm_set_region),
    ROW(KVM_SET_USER_MEMORY_REGION2, VM, ANY, vm_set_region2),
    ROW(KVM_SET_MEMORY_ATTRIBUTES,   VM, ANY, vm_set_attributes,
        .where = ATTRIBUTES),
    ROW(KVM_SET_MEMORY_ATTRIBUTES2,  GMEM, ANY, gmem_set_attributes,
        .even_dead = true, .where = IN_PLACE),
    ROW(KVM_SET_DEVICE_ATTR,         DEVICE, ANY, device_set_attr),
    ROW(KVM_ARM_MTE_COPY_TAGS,       VM, ANY, vm_copy_tags),

    ROW(KVM_ARM_VCPU_INIT,           VCPU, NONE, vcpu_init),
    ROW(KVM_ARM_VCPU_FINALIZE,       VCPU, NONE | NEW, vcpu_finalize,
        .where = RME),
    ROW(KVM_SET_ONE_REG,             VCPU, ANY, vcpu_set_reg),
    ROW(KVM_SET_MP_STATE,            VCPU, ANY, vcpu_set_mp_state),
    ROW(KVM_RUN,                     VCPU, ANY, vcpu_run, .unlocked = true),

    ROW(KVM_ARM_RMI_POPULATE,        VM, ANY, vm_populate,
        .where = RMI),
    { KVM_ARM_RMI_POPULATE_V12, "KVM_ARM_RMI_POPULATE", VM, ANY,
      vm_populate, .where = RMI },

    ROW(KVM_GET_DIRTY_LOG,           VM, ANY, vm_get_dirty_log),
    ROW(KVM_CLEAR_DIRTY_LOG,         VM, ANY, vm_clear_dirty_log),
    ROW(KVM_GET_ONE_REG,             VCPU, ANY, vcpu_get_reg),
    ROW(KVM_GET_REG_LIST,            VCPU, ANY, vcpu_list_regs),

    ROW(KVM_CC_MIG_INFO,             VM, ANY, vm_mig_info, .where = MIGRATION),
    ROW(KVM_CC_MIGRATE,              VM, ANY, vm_migrate,
        .even_dead = true, .where = MIGRATION),
    ROW(KVM_CC_OWED_PAGES,           VM, ANY, vm_owed_pages,
        .where = MIGRATION),
    ROW(KVM_CC_EXPORT_PAGES,         VM, ANY, vm_export_pages,
        .unlocked = true, .where = MIGRATION),
    ROW(KVM_CC_IMPORT_PAGES,         VM, ANY, vm_import_pages,
        .where = MIGRATION),
};

#undef ROW

static bool is_here(const DoubleRow *row)
{
    const DoubleFlavour *f = the_double->flavour;

    switch (row->where) {
    case RME:
        return f->rme;
    case RMI:
        return f->populate == row->request;
    case MIGRATION:
        return the_double->options.migration;
    case ATTRIBUTES:
        return f->vm_attributes;
    case IN_PLACE:
        return f->in_place;
    default:
        return true;
    }
}

static const DoubleRow *find_row(DoubleKind kind, unsigned long request)
{
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (rows[i].request == request && (rows[i].kinds & BIT(kind))) {
            return &rows[i];
        }
    }
    return NULL;
}

/* ---- What is forbidden ---- */

int double_forbid(int error, const char *rule, ...)
{
    g_autofree char *text = NULL;
    va_list ap;

    va_start(ap, rule);
    text = g_strdup_vprintf(rule, ap);
    va_end(ap);
    if (!the_double->probing) {
        fprintf(stderr, "the kernel's interface forbids: %s: %s\n",
                current_call ? current_call->name : "?", text);
        abort();
    }
    return -error;
}

bool double_partly(void)
{
    return current_call && current_call->partly;
}

int double_copy_out(uint64_t to, const void *from, size_t size)
{
    if (current_call && current_call->fault) {
        return -EFAULT;
    }
    memcpy((void *)(uintptr_t)to, from, size);
    return 0;
}

void double_probing(bool on)
{
    the_double->probing = on;
}

/* ---- Descriptors ---- */

static uint64_t inode_of(int fd)
{
    struct stat st;

    return fstat(fd, &st) ? 0 : st.st_ino;
}

static void file_free(DoubleFile *file)
{
    DoubleVm *vm = file->vm;

    if (vm && --vm->open_files == 0) {
        g_ptr_array_add(the_double->dead, vm);
    }
    g_free(file);
}

/* A mapping keeps a file open, too. */
static bool is_open(const DoubleFile *file)
{
    return inode_of(file->fd) == file->inode ||
           (file->kind == DOUBLE_GMEM && gmem_is_mapped(file->object));
}

/* Take closed descriptors from the list. */
static GPtrArray *take_closed(unsigned kinds)
{
    GPtrArray *closed = g_ptr_array_new();
    QEMU_LOCK_GUARD(&the_double->lock);

    for (guint i = 0; i < the_double->files->len; ) {
        DoubleFile *file = g_ptr_array_index(the_double->files, i);

        if (!(kinds & BIT(file->kind)) || is_open(file)) {
            i++;
        } else {
            g_ptr_array_remove_index_fast(the_double->files, i);
            g_ptr_array_add(closed, file);
        }
    }
    return closed;
}

/* A VM lives as long as one of its own descriptors is open. */
static void close_files(unsigned kinds)
{
    g_autoptr(GPtrArray) closed = take_closed(kinds);

    for (guint i = 0; i < closed->len; i++) {
        DoubleFile *file = g_ptr_array_index(closed, i);

        if (file->kind == DOUBLE_GMEM) {
            gmem_release(file->vm, file->object);
        }
        WITH_QEMU_LOCK_GUARD(&the_double->lock) {
            file_free(file);
        }
    }
}

/* Free VMs of which no descriptor is open any more. */
static void free_vms(void)
{
    g_autoptr(GPtrArray) dead = NULL;

    close_files(~0u);
    WITH_QEMU_LOCK_GUARD(&the_double->lock) {
        dead = the_double->dead;
        the_double->dead = g_ptr_array_new();
    }
    for (guint i = 0; i < dead->len; i++) {
        vm_free(g_ptr_array_index(dead, i));
    }
}

DoubleFile *double_file(int fd)
{
    QEMU_LOCK_GUARD(&the_double->lock);
    uint64_t inode = inode_of(fd);

    for (guint i = 0; i < the_double->files->len; i++) {
        DoubleFile *file = g_ptr_array_index(the_double->files, i);

        if (file->fd == fd && file->inode == inode) {
            return file;
        }
    }
    return NULL;
}

int double_open(DoubleKind kind, DoubleVm *vm, void *object)
{
    return double_open_fd(kind, vm, object,
                          memfd_create("kvm", MFD_CLOEXEC));
}

int double_open_fd(DoubleKind kind, DoubleVm *vm, void *object, int fd)
{
    DoubleFile *file;

    if (fd < 0) {
        return -errno;
    }
    if (kind == DOUBLE_VM) {
        free_vms();
    }
    file = g_new(DoubleFile, 1);
    *file = (DoubleFile) { kind, fd, inode_of(fd), vm, object };
    QEMU_LOCK_GUARD(&the_double->lock);
    g_ptr_array_add(the_double->files, file);
    if (vm) {
        vm->open_files++;
    }
    return fd;
}

/* ---- ioctls ---- */

/* guest_memfd is a file of its own: it does not ask whether its VM is dead. */
static int check_state(const DoubleRow *row, const DoubleVm *vm)
{
    if (vm->dead) {
        return row->even_dead ? 0 : -EIO;
    }
    if (!(row->states & BIT(vm->state))) {
        return double_forbid(vm->state >= VM_EMPTY ? EBUSY : EINVAL,
                             "not in state %d of the VM", vm->state);
    }
    return 0;
}

static int answer(DoubleFile *file, const DoubleRow *row, void *arg)
{
    DoubleVm *vm = file->vm;
    int ret;

    if (!row || !is_here(row)) {
        /* arm64's KVM has no ENOTTY, but its other files do. */
        return double_forbid(BIT(file->kind) & (GMEM | DEVICE) ? ENOTTY
                                                               : EINVAL,
                             "%s has no such ioctl",
                             the_double->flavour->name);
    }
    if (row->where == MIGRATION && !vm->realm) {
        return -ENOTTY;
    }
    if (!vm) {
        return row->handler(file, arg);
    }
    WITH_QEMU_LOCK_GUARD(&vm->lock) {
        ret = check_state(row, vm);
        if (ret || !row->unlocked) {
            return ret ?: row->handler(file, arg);
        }
    }
    return row->handler(file, arg);
}

static void call_hook(DoubleCall *call, bool after)
{
    if (the_double->hook) {
        the_double->hook(call, after, the_double->hook_opaque);
    }
}

int double_ioctl(int fd, unsigned long request, void *arg)
{
    DoubleFile *file;
    const DoubleRow *row;
    DoubleCall call = { .request = (uint32_t)request, .arg = arg };

    close_files(GMEM);
    file = double_file(fd);
    if (!file) {
        return -EBADF;
    }
    row = find_row(file->kind, call.request);
    call.name = row ? row->name : "an unknown ioctl";
    call.number = qatomic_inc_fetch(&the_double->calls);
    current_call = &call;
    call_hook(&call, false);
    if (call.ret == 0) {
        call.ret = answer(file, row, arg);
        call_hook(&call, true);
    }
    current_call = NULL;
    return call.ret;
}

void double_pass(unsigned seconds)
{
    the_double->seconds += seconds;
}

unsigned double_calls(void)
{
    return qatomic_read(&the_double->calls);
}

void double_set_hook(DoubleHook *hook, void *opaque)
{
    the_double->hook = hook;
    the_double->hook_opaque = opaque;
}

/* ---- The kernel as a whole ---- */

void double_start(const DoubleOptions *options)
{
    static uint32_t seed;

    g_assert_null(the_double);
    the_double = g_new0(Double, 1);
    the_double->options = *options;
    the_double->flavour = double_flavour(options->flavour);
    g_assert_nonnull(the_double->flavour);
    the_double->page_size = options->page_size ?: 4096;
    qemu_mutex_init(&the_double->lock);
    the_double->files = g_ptr_array_new();
    the_double->dead = g_ptr_array_new();
    the_double->gmems = g_ptr_array_new();
    the_double->rand = g_rand_new_with_seed(getpid() * 1000 + seed++);
    physical_init();
}

void double_stop(void)
{
    free_vms();
    g_assert_cmpuint(the_double->files->len, ==, 0);
    physical_free();
    g_ptr_array_unref(the_double->files);
    g_ptr_array_unref(the_double->dead);
    g_ptr_array_unref(the_double->gmems);
    g_rand_free(the_double->rand);
    qemu_mutex_destroy(&the_double->lock);
    g_clear_pointer(&the_double, g_free);
}
