/*
 * The stand-in kernel: VMs, vCPUs, memory slots and attributes
 *
 * Purpose: the ioctls that KVM has for every VM, with the changes of the series
 * for Realms.
 *
 * Lock rule: handlers run with DoubleVm.lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "qemu/lockable.h"
#include "qemu/range.h"
#include "internal.h"

#define MAX_IPA_BITS    48
#define MAX_SLOTS       32767
#define VM_TYPE_MASK    (~0xffull)

bool vm_is_aligned(uint64_t base, uint64_t size)
{
    return QEMU_IS_ALIGNED(base | size, the_double->page_size);
}

/* ---- VMs ---- */

static DoubleVm *vm_new(bool realm, unsigned ipa_bits)
{
    DoubleVm *vm = g_new0(DoubleVm, 1);

    qemu_mutex_init(&vm->lock);
    for (size_t i = 0; i < ARRAY_SIZE(vm->stream_lock); i++) {
        qemu_mutex_init(&vm->stream_lock[i]);
    }
    qemu_cond_init(&vm->wake);
    vm->realm = realm;
    vm->ipa_bits = ipa_bits ?: 40;
    vm->hash_algo = the_double->flavour->hash_algo;
    vm->slots = g_ptr_array_new();
    vm->vcpus = g_ptr_array_new();
    vm->gmems = g_ptr_array_new();
    vm->private = g_hash_table_new(NULL, NULL);
    vm->populated = g_hash_table_new(NULL, NULL);
    vm->ripas = g_array_new(false, false, sizeof(DoubleRange));
    return vm;
}

static void slot_free(DoubleSlot *slot)
{
    if (!slot->in_place) {
        g_free(slot->tags);
    }
    g_free(slot->dirty);
    g_free(slot);
}

void vcpu_free(DoubleVcpu *vcpu)
{
    g_free(vcpu->kvm_run);
    g_free(vcpu);
}

void vm_kill(DoubleVm *vm)
{
    vm->dead = true;
    qemu_cond_broadcast(&vm->wake);
}

void vm_free(DoubleVm *vm)
{
    host_destroy(vm);
    g_ptr_array_foreach(vm->slots, (GFunc)slot_free, NULL);
    g_ptr_array_foreach(vm->vcpus, (GFunc)vcpu_free, NULL);
    g_ptr_array_foreach(vm->gmems, (GFunc)gmem_free, NULL);
    g_ptr_array_unref(vm->slots);
    g_ptr_array_unref(vm->vcpus);
    g_ptr_array_unref(vm->gmems);
    g_hash_table_unref(vm->private);
    g_hash_table_unref(vm->populated);
    g_array_unref(vm->ripas);
    qemu_cond_destroy(&vm->wake);
    for (size_t i = 0; i < ARRAY_SIZE(vm->stream_lock); i++) {
        qemu_mutex_destroy(&vm->stream_lock[i]);
    }
    qemu_mutex_destroy(&vm->lock);
    g_free(vm);
}

int system_create_vm(DoubleFile *file, void *arg)
{
    const DoubleFlavour *f = the_double->flavour;
    uint64_t type = (uintptr_t)arg & VM_TYPE_MASK;
    unsigned ipa_bits = (uintptr_t)arg & 0xff;

    if (ipa_bits && (ipa_bits < 32 || ipa_bits > MAX_IPA_BITS)) {
        return -EINVAL;
    }
    if (type && (type != f->vm_type || f->refusal)) {
        return type == f->vm_type && f->refusal ? -f->refusal : -EINVAL;
    }
    return double_open(DOUBLE_VM, vm_new(type, ipa_bits), NULL);
}

/* ---- Capabilities ---- */

/*
 * What virt/kvm answers itself, or NOT_GENERIC: then it asks arm64.  Only that
 * part looks whether the VM is a Realm's, but for attributes.
 */
#define NOT_GENERIC -1

static int generic_extension(const DoubleVm *vm, unsigned extension)
{
    const DoubleFlavour *f = the_double->flavour;

    switch (extension) {
    case KVM_CAP_USER_MEMORY:
    case KVM_CAP_USER_MEMORY2:
    case KVM_CAP_DESTROY_MEMORY_REGION_WORKS:
    case KVM_CAP_JOIN_MEMORY_REGIONS_WORKS:
    case KVM_CAP_INTERNAL_ERROR_DATA:
    case KVM_CAP_SIGNAL_MSI:
    case KVM_CAP_IRQFD:
    case KVM_CAP_IOEVENTFD_ANY_LENGTH:
    case KVM_CAP_CHECK_EXTENSION_VM:
    case KVM_CAP_ENABLE_CAP_VM:
    case KVM_CAP_HALT_POLL:
    case KVM_CAP_COALESCED_MMIO:
    case KVM_CAP_DEVICE_CTRL:
    case KVM_CAP_GUEST_MEMFD:
        return 1;
    case KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2:
        return KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE |
               KVM_DIRTY_LOG_INITIALLY_SET;
    case KVM_CAP_IRQ_ROUTING:
        return 4096;
    case KVM_CAP_NR_MEMSLOTS:
        return MAX_SLOTS;
    case KVM_CAP_MEMORY_ATTRIBUTES:
        return f->vm_attributes && (!vm || vm->realm)
            ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0;
    case KVM_CAP_GUEST_MEMFD_FLAGS:
        return f->in_place ? GUEST_MEMFD_FLAG_MMAP |
                             GUEST_MEMFD_FLAG_INIT_SHARED : NOT_GENERIC;
    case KVM_CAP_GUEST_MEMFD_MEMORY_ATTRIBUTES:
        return !f->in_place ? NOT_GENERIC :
               vm && !vm->realm ? 0 : KVM_MEMORY_ATTRIBUTE_PRIVATE;
    default:
        return NOT_GENERIC;
    }
}

/* What arm64 lets the VM of a Realm answer for (kvm_realm_ext_allowed). */
static bool realm_allows(unsigned extension)
{
    const DoubleFlavour *f = the_double->flavour;

    switch (extension) {
    case KVM_CAP_IRQCHIP:
    case KVM_CAP_ARM_PSCI:
    case KVM_CAP_ARM_PSCI_0_2:
    case KVM_CAP_NR_VCPUS:
    case KVM_CAP_MAX_VCPUS:
    case KVM_CAP_MAX_VCPU_ID:
    case KVM_CAP_MSI_DEVID:
    case KVM_CAP_ARM_VM_IPA_SIZE:
    case KVM_CAP_ARM_SVE:
    case KVM_CAP_ARM_PTRAUTH_ADDRESS:
    case KVM_CAP_ARM_PTRAUTH_GENERIC:
    case KVM_CAP_ARM_MTE:       /* proposed, with the next */
    case KVM_CAP_CC_MIGRATION:
    case KVM_CAP_GUEST_MEMFD_DIRTY_LOG:
        return true;
    case KVM_CAP_ONE_REG:
    case KVM_CAP_SYNC_MMU:
        return f->after_v15;
    default:
        return extension == f->cap;
    }
}

/* arm64's part.  This host has neither SVE nor a PMU. */
static int arch_extension(unsigned extension)
{
    switch (extension) {
    case KVM_CAP_IRQCHIP:
    case KVM_CAP_IOEVENTFD:
    case KVM_CAP_SYNC_MMU:
    case KVM_CAP_ONE_REG:
    case KVM_CAP_ARM_PSCI:
    case KVM_CAP_ARM_PSCI_0_2:
    case KVM_CAP_READONLY_MEM:
    case KVM_CAP_MP_STATE:
    case KVM_CAP_IMMEDIATE_EXIT:
    case KVM_CAP_VCPU_EVENTS:
    case KVM_CAP_ARM_IRQ_LINE_LAYOUT_2:
    case KVM_CAP_ARM_NISV_TO_USER:
    case KVM_CAP_ARM_INJECT_EXT_DABT:
    case KVM_CAP_ARM_INJECT_SERROR_ESR:
    case KVM_CAP_SET_GUEST_DEBUG:
    case KVM_CAP_VCPU_ATTRIBUTES:
    case KVM_CAP_IRQFD_RESAMPLE:
    case KVM_CAP_COUNTER_OFFSET:
    case KVM_CAP_STEAL_TIME:
    case KVM_CAP_MSI_DEVID:
    case KVM_CAP_ARM_PTRAUTH_ADDRESS:
    case KVM_CAP_ARM_PTRAUTH_GENERIC:
        return 1;
    case KVM_CAP_ARM_VM_IPA_SIZE:
        return MAX_IPA_BITS;
    case KVM_CAP_NR_VCPUS:
    case KVM_CAP_MAX_VCPUS:
    case KVM_CAP_MAX_VCPU_ID:
        return DOUBLE_MAX_CPUS;
    case KVM_CAP_GUEST_DEBUG_HW_BPS:
        return 6;
    case KVM_CAP_GUEST_DEBUG_HW_WPS:
        return 4;
    case KVM_CAP_ARM_MTE:
        return the_double->options.mte;
    case KVM_CAP_CC_MIGRATION:
        return migrate_features();
    case KVM_CAP_GUEST_MEMFD_DIRTY_LOG:
        return the_double->options.migration;
    default:
        return the_double->flavour->cap &&
               extension == the_double->flavour->cap;
    }
}

/* Mainline uses numbers that the series once had for Realms. */
static bool is_mainlines(unsigned extension)
{
    switch (extension) {
    case 240: /* ARM_EL2 */
    case 243: /* ARM_CACHEABLE_PFNMAP_SUPPORTED */
    case 244: /* GUEST_MEMFD_FLAGS */
        return true;
    case 251: /* ARM_PMU_V3_STRICT, since then */
        return the_double->flavour->after_v15;
    default:
        return false;
    }
}

int check_extension(DoubleFile *file, void *arg)
{
    unsigned extension = (uintptr_t)arg;
    int generic = generic_extension(file->vm, extension);

    if (generic != NOT_GENERIC) {
        return generic;
    }
    if (file->vm && file->vm->realm) {
        return realm_allows(extension) ? arch_extension(extension) : 0;
    }
    return is_mainlines(extension) ? 1 : arch_extension(extension);
}

static int enable_mte(DoubleVm *vm)
{
    if (!the_double->options.mte || vm->vcpus->len) {
        return double_forbid(EINVAL, "KVM_CAP_ARM_MTE comes before vCPUs");
    }
    vm->mte = true;
    return 0;
}

static int enable_manual_log(DoubleVm *vm, uint64_t how)
{
    uint64_t known = KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE;

    if (how & KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE) {
        known |= KVM_DIRTY_LOG_INITIALLY_SET;
    }
    if (how & ~known) {
        return double_forbid(EINVAL, "what begins set is cleared by hand");
    }
    vm->manual_log = how;
    return 0;
}

int vm_enable_cap(DoubleFile *file, void *arg)
{
    const struct kvm_enable_cap *cap = arg;
    const DoubleFlavour *f = the_double->flavour;

    if (cap->flags) {
        return double_forbid(EINVAL, "flags are zero");
    }
    if (file->vm->realm && f->rme && cap->cap == f->cap) {
        return life_enable_rme(file->vm, cap);
    }
    if (file->vm->realm && the_double->options.migration &&
        cap->cap == KVM_CAP_CC_MIGRATION) {
        return migrate_enable(file->vm, cap);
    }
    if (cap->cap == KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2) {
        return enable_manual_log(file->vm, cap->args[0]);
    }
    if (cap->cap == KVM_CAP_ARM_MTE) {
        return enable_mte(file->vm);
    }
    return double_forbid(EINVAL, "no capability %u can be enabled", cap->cap);
}

int vm_preferred_target(DoubleFile *file, void *arg)
{
    struct kvm_vcpu_init *init = arg;

    *init = (struct kvm_vcpu_init) { .target = KVM_ARM_TARGET_GENERIC_V8 };
    return 0;
}

int vm_create_device(DoubleFile *file, void *arg)
{
    struct kvm_create_device *device = arg;
    int fd;

    if (device->type != KVM_DEV_TYPE_ARM_VGIC_V3) {
        return double_forbid(ENODEV, "a Realm has a GICv3");
    }
    if (device->flags & KVM_CREATE_DEVICE_TEST) {
        return 0;
    }
    if (file->vm->irqchip) {
        return double_forbid(EEXIST, "there is a GIC");
    }
    fd = double_open(DOUBLE_DEVICE, file->vm, NULL);
    if (fd < 0) {
        return fd;
    }
    file->vm->irqchip = true;
    device->fd = fd;
    return 0;
}

/* Of the attributes of a GIC, a Realm depends on its initialisation alone. */
int device_set_attr(DoubleFile *file, void *arg)
{
    const struct kvm_device_attr *attr = arg;

    if (attr->group > KVM_DEV_ARM_VGIC_GRP_ITS_REGS) {
        return double_forbid(ENXIO, "no group %u of attributes", attr->group);
    }
    if (attr->group == KVM_DEV_ARM_VGIC_GRP_CTRL &&
        attr->attr == KVM_DEV_ARM_VGIC_CTRL_INIT) {
        file->vm->vgic_initialized = true;
    }
    return 0;
}

/* ---- vCPUs ---- */

int vm_create_vcpu(DoubleFile *file, void *arg)
{
    DoubleVm *vm = file->vm;
    DoubleVcpu *vcpu;
    int fd;

    if ((uintptr_t)arg != vm->vcpus->len ||
        vm->vcpus->len == DOUBLE_MAX_CPUS) {
        return double_forbid((uintptr_t)arg < vm->vcpus->len ? EEXIST : EINVAL,
                             "vCPU %zu is not the next",
                             (size_t)(uintptr_t)arg);
    }
    vcpu = g_new0(DoubleVcpu, 1);
    fd = double_open(DOUBLE_VCPU, vm, vcpu);
    if (fd < 0) {
        g_free(vcpu);
        return fd;
    }
    vcpu->vm = vm;
    vcpu->index = vm->vcpus->len;
    vcpu->kvm_run = g_new0(struct kvm_run, 1);
    g_ptr_array_add(vm->vcpus, vcpu);
    return fd;
}

static uint32_t known_features(DoubleVm *vm)
{
    const DoubleFlavour *f = the_double->flavour;

    return BIT(KVM_ARM_VCPU_POWER_OFF) | BIT(KVM_ARM_VCPU_PSCI_0_2) |
           (vm->realm ? f->vcpu_features : 0);
}

/* The first vCPU's are those of all (__kvm_vcpu_set_target), but POWER_OFF. */
static bool vm_set_features(DoubleVm *vm, uint32_t features)
{
    features &= ~BIT(KVM_ARM_VCPU_POWER_OFF);
    if (!vm->has_features) {
        vm->has_features = true;
        vm->features = features;
    }
    return vm->features == features;
}

int vcpu_init(DoubleFile *file, void *arg)
{
    const struct kvm_vcpu_init *init = arg;
    const DoubleFlavour *f = the_double->flavour;
    DoubleVcpu *vcpu = file->object;
    uint32_t features = init->features[0];
    bool known = !(features & ~known_features(vcpu->vm)) &&
                 buffer_is_zero(init->features + 1,
                                sizeof(init->features) - sizeof(features));

    if (init->target != KVM_ARM_TARGET_GENERIC_V8) {
        return -EINVAL;
    }
    if (!known) {
        return double_forbid(ENOENT, "features 0x%x", features);
    }
    if (vcpu->vm->realm && f->vcpu_features & ~features) {
        return double_forbid(EINVAL, "all vCPUs of a Realm have the feature "
                             "KVM_ARM_VCPU_REC");
    }
    if (!vm_set_features(vcpu->vm, features)) {
        return double_forbid(EINVAL, "the VM's first KVM_ARM_VCPU_INIT had "
                             "other features");
    }
    vcpu->initialized = true;
    vcpu->power_off = features & BIT(KVM_ARM_VCPU_POWER_OFF);
    return 0;
}

/* 0 to 30: X register; 31: the PC; -1: no register that a Realm's host sets. */
static int register_index(uint64_t id)
{
    const uint64_t core = KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE;

    for (int i = 0; i < 31; i++) {
        if (id == (core | (KVM_REG_ARM_CORE_REG(regs.regs[0]) + 2 * i))) {
            return i;
        }
    }
    return id == (core | KVM_REG_ARM_CORE_REG(regs.pc)) ? 31 : -1;
}

int vcpu_check_init(const DoubleVcpu *vcpu)
{
    return vcpu->initialized ? 0
        : double_forbid(ENOEXEC, "KVM_ARM_VCPU_INIT comes before");
}

int vcpu_set_reg(DoubleFile *file, void *arg)
{
    const struct kvm_one_reg *reg = arg;
    DoubleVcpu *vcpu = file->object;
    const uint64_t *value = (const uint64_t *)(uintptr_t)reg->addr;
    int index = register_index(reg->id);
    int answer = migrate_answer_register(reg->id);
    int ret = vcpu_check_init(vcpu);

    if (ret) {
        return ret;
    }
    if (answer >= 0 && the_double->options.migration) {
        return migrate_set_answer(vcpu, answer, *value);
    }
    if (index < 0 || vcpu->rec) {
        return double_forbid(EINVAL, "register 0x%" PRIx64 " of a Realm's vCPU",
                             (uint64_t)reg->id);
    }
    if (index == 31) {
        vcpu->pc = *value;
    } else {
        vcpu->x[index] = *value;
    }
    return 0;
}

/* Of all the registers, the host may know these. */
int vcpu_get_reg(DoubleFile *file, void *arg)
{
    const struct kvm_one_reg *reg = arg;
    int answer = migrate_answer_register(reg->id);
    int ret = vcpu_check_init(file->object);

    if (ret) {
        return ret;
    }
    if (answer < 0 || !the_double->options.migration) {
        return double_forbid(EINVAL, "register 0x%" PRIx64 " of a Realm's vCPU",
                             (uint64_t)reg->id);
    }
    return migrate_get_answer(file->object, answer,
                              (uint64_t *)(uintptr_t)reg->addr);
}

/* The registers of answers alone: nobody asks the double for the others. */
int vcpu_list_regs(DoubleFile *file, void *arg)
{
    struct kvm_reg_list *list = arg;
    const unsigned n = file->vm->migratable ? 32 : 0;
    bool fits = list->n >= n;
    int ret = vcpu_check_init(file->object);

    if (ret) {
        return ret;
    }
    list->n = n;
    for (unsigned i = 0; fits && i < n; i++) {
        list->reg[i] = KVM_REG_ARM_REC_ANSWER_REG(i);
    }
    return fits ? 0 : -E2BIG;
}

int vcpu_set_mp_state(DoubleFile *file, void *arg)
{
    const struct kvm_mp_state *state = arg;
    DoubleVcpu *vcpu = file->object;

    if (state->mp_state != KVM_MP_STATE_STOPPED &&
        state->mp_state != KVM_MP_STATE_RUNNABLE) {
        return double_forbid(EINVAL, "state %u of a vCPU", state->mp_state);
    }
    if (!vcpu->came) {          /* the REC knows */
        vcpu->power_off = state->mp_state == KVM_MP_STATE_STOPPED;
    }
    qemu_cond_broadcast(&vcpu->vm->wake);
    return 0;
}

/* ---- Memory ---- */

static DoubleSlot *slot_by_id(DoubleVm *vm, unsigned id)
{
    for (guint i = 0; i < vm->slots->len; i++) {
        DoubleSlot *slot = g_ptr_array_index(vm->slots, i);

        if (slot->region.slot == id) {
            return slot;
        }
    }
    return NULL;
}

bool vm_is_slot(unsigned slot)
{
    return slot < MAX_SLOTS;    /* in the one address space that arm64 has */
}

static int check_region(const struct kvm_userspace_memory_region2 *region)
{
    uint32_t known = KVM_MEM_LOG_DIRTY_PAGES | KVM_MEM_READONLY |
                     KVM_MEM_GUEST_MEMFD;
    uint64_t size = region->memory_size;

    if (region->flags & KVM_MEM_GUEST_MEMFD) {
        known &= ~KVM_MEM_READONLY;
    }
    if (region->flags & ~known ||
        !vm_is_aligned(region->guest_phys_addr, size) ||
        !vm_is_aligned(region->userspace_addr, region->guest_memfd_offset)) {
        return double_forbid(EINVAL, "flags 0x%x, or not whole pages",
                             region->flags);
    }
    if (!vm_is_slot(region->slot) || region->guest_phys_addr + size < size ||
        region->guest_memfd_offset + size < size) {
        return double_forbid(EINVAL, "slot %u, or it wraps around",
                             region->slot);
    }
    return 0;
}

/* Another slot than @self, which may be NULL, has a part of @region. */
static bool overlaps(DoubleVm *vm, const DoubleSlot *self,
                     const struct kvm_userspace_memory_region2 *region)
{
    for (guint i = 0; i < vm->slots->len; i++) {
        const DoubleSlot *slot = g_ptr_array_index(vm->slots, i);

        if (slot != self &&
            ranges_overlap(slot->region.guest_phys_addr,
                           slot->region.memory_size, region->guest_phys_addr,
                           region->memory_size)) {
            return true;
        }
    }
    return false;
}

static bool is_bound(DoubleVm *vm, const DoubleSlot *new)
{
    uint64_t offset = new->region.guest_memfd_offset;

    for (guint i = 0; i < vm->slots->len; i++) {
        const DoubleSlot *slot = g_ptr_array_index(vm->slots, i);
        uint64_t start = slot->region.guest_memfd_offset;

        if (slot->gmem == new->gmem &&
            offset < start + slot->region.memory_size &&
            start < offset + new->region.memory_size) {
            return true;
        }
    }
    return false;
}

/* In a kernel with attributes of guest_memfd, a slot has nothing else. */
static int set_gmem(DoubleVm *vm, DoubleSlot *slot)
{
    const struct kvm_userspace_memory_region2 *region = &slot->region;
    DoubleFile *file;

    if (!(region->flags & KVM_MEM_GUEST_MEMFD)) {
        return 0;
    }
    if (fcntl(region->guest_memfd, F_GETFD) < 0) {
        return double_forbid(EBADF, "no file");
    }
    file = double_file(region->guest_memfd);
    slot->gmem = file && file->kind == DOUBLE_GMEM && file->vm == vm
                 ? file->object : NULL;
    if (!slot->gmem || region->guest_memfd_offset + region->memory_size >
                       slot->gmem->size) {
        return double_forbid(EINVAL, "no guest_memfd of this VM, or it is too "
                             "small");
    }
    if (is_bound(vm, slot)) {
        return double_forbid(EEXIST, "a slot has that part of guest_memfd");
    }
    if (vm->mte && !vm->realm) {
        return double_forbid(EINVAL, "a VM has tags or guest_memfd");
    }
    slot->in_place = the_double->flavour->in_place;
    return slot->in_place ? gmem_check_mapping(slot) : 0;
}

static int check_top(const DoubleVm *vm,
                     const struct kvm_userspace_memory_region2 *region)
{
    return region->guest_phys_addr + region->memory_size <=
           BIT_ULL(vm->ipa_bits) ? 0
        : double_forbid(EFAULT, "a slot ends beyond %u bits", vm->ipa_bits);
}

static int add_slot(DoubleVm *vm,
                    const struct kvm_userspace_memory_region2 *region)
{
    DoubleSlot *slot;
    int ret;

    if (overlaps(vm, NULL, region)) {
        return double_forbid(EEXIST, "slots overlap");
    }
    slot = g_new0(DoubleSlot, 1);
    slot->region = *region;
    ret = set_gmem(vm, slot) ?: check_top(vm, region) ?:
          log_set(vm, slot, region->flags & KVM_MEM_LOG_DIRTY_PAGES);
    if (ret) {
        g_free(slot);
        return ret;
    }
    if (the_double->options.mte) {
        slot->tags = slot->in_place
            ? slot->gmem->tags + region->guest_memfd_offset / 32
            : g_malloc0(region->memory_size / 32);
    }
    g_ptr_array_add(vm->slots, slot);
    return 0;
}

static void remove_slot(DoubleVm *vm, DoubleSlot *slot)
{
    mmu_unmap_shared(vm, slot->region.guest_phys_addr,
                     slot->region.memory_size);
    if (slot->gmem) {
        mmu_unmap_private(vm, slot->region.guest_phys_addr,
                          slot->region.memory_size);
    }
    g_ptr_array_remove(vm->slots, slot);
    slot_free(slot);
}

/*
 * A slot may move, and its log begin or end.  With guest_memfd it is what it is
 * for good; the proposal lets it have a log, as KVM_CAP_GUEST_MEMFD_DIRTY_LOG
 * says.
 */
static int change_slot(DoubleVm *vm, DoubleSlot *slot,
                       const struct kvm_userspace_memory_region2 *region)
{
    const struct kvm_userspace_memory_region2 *old = &slot->region;
    bool moves = region->guest_phys_addr != old->guest_phys_addr;
    int ret;

    if (region->memory_size != old->memory_size ||
        region->userspace_addr != old->userspace_addr ||
        (region->flags ^ old->flags) & ~KVM_MEM_LOG_DIRTY_PAGES ||
        (region->flags & KVM_MEM_GUEST_MEMFD &&
         (moves || !the_double->options.migration))) {
        return double_forbid(EINVAL, "a slot can only move, if it has no "
                             "guest_memfd, and have a log");
    }
    if (overlaps(vm, slot, region)) {
        return double_forbid(EEXIST, "slots overlap");
    }
    ret = check_top(vm, region) ?:
          log_set(vm, slot, region->flags & KVM_MEM_LOG_DIRTY_PAGES);
    if (ret) {
        return ret;
    }
    if (moves) {
        mmu_unmap_shared(vm, old->guest_phys_addr, old->memory_size);
    }
    slot->region.guest_phys_addr = region->guest_phys_addr;
    slot->region.flags = region->flags;
    return 0;
}

int vm_set_region2(DoubleFile *file, void *arg)
{
    const struct kvm_userspace_memory_region2 *region = arg;
    DoubleSlot *slot = slot_by_id(file->vm, region->slot);
    int ret = check_region(region);

    if (ret) {
        return ret;
    }
    if (!slot) {
        return region->memory_size ? add_slot(file->vm, region) : -EINVAL;
    }
    if (!region->memory_size) {
        remove_slot(file->vm, slot);
        return 0;
    }
    return change_slot(file->vm, slot, region);
}

int vm_set_region(DoubleFile *file, void *arg)
{
    struct kvm_userspace_memory_region2 region = { 0 };

    memcpy(&region, arg, sizeof(struct kvm_userspace_memory_region));
    if (region.flags & KVM_MEM_GUEST_MEMFD) {
        return double_forbid(EINVAL, "KVM_SET_USER_MEMORY_REGION2 has that");
    }
    return vm_set_region2(file, &region);
}

bool vm_is_ram(DoubleVm *vm, uint64_t base, uint64_t size)
{
    DoubleSlot *slot = slot_at(vm, base);

    return slot && slot->gmem &&
           size <= slot->region.guest_phys_addr + slot->region.memory_size -
                   base;
}

static void set_attribute(DoubleVm *vm, uint64_t gpa, bool private)
{
    gpointer page = GSIZE_TO_POINTER(gpa / the_double->page_size);

    if (private == g_hash_table_contains(vm->private, page)) {
        return;
    }
    if (private) {
        g_hash_table_add(vm->private, page);
        mmu_unmap_shared(vm, gpa, the_double->page_size);
    } else {
        g_hash_table_remove(vm->private, page);
        mmu_unmap_private(vm, gpa, the_double->page_size);
    }
}

int vm_set_attributes(DoubleFile *file, void *arg)
{
    const struct kvm_memory_attributes *args = arg;

    if (args->flags || !args->size ||
        args->attributes & ~KVM_MEMORY_ATTRIBUTE_PRIVATE ||
        !vm_is_aligned(args->address, args->size)) {
        return double_forbid(EINVAL, "flags are zero, private is the only "
                             "attribute, the range is whole pages");
    }
    if (!vm_is_ram(file->vm, args->address, args->size)) {
        return double_forbid(EINVAL, "0x%" PRIx64 " bytes at 0x%" PRIx64
                             " are not a slot with guest_memfd",
                             (uint64_t)args->size, (uint64_t)args->address);
    }
    for (uint64_t at = 0; at < args->size; at += the_double->page_size) {
        set_attribute(file->vm, args->address + at, args->attributes);
    }
    return 0;
}
