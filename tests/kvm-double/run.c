/*
 * The stand-in kernel: KVM_RUN, and the guest
 *
 * Purpose: enter the REC, and let the guest do what guest.c asked for.  The
 * kernel answers some exits of the REC itself, and returns to QEMU for the
 * others: a change of RIPAS, or an access to a page that is in the other half's
 * state.
 *
 * Invariants: a vCPU without an action is interrupted at once.  The next entry
 * of the REC commits a change of RIPAS, whatever QEMU did.
 *
 * Lock rule: one thread runs a vCPU, and takes DoubleVm.lock to change the VM.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/lockable.h"
#include "internal.h"

#define ESR_DATA_ABORT  (0x24ull << 26 | 1ull << 25)
#define ESR_WNR         (1ull << 6)
#define ESR_ISV         (1ull << 24 | 3ull << 22 | 31 << 16) /* 64 bits, XZR */
#define FSC_TRANSLATION 4
#define FSC_PERMISSION  12

/* ---- The first run, in the second generation ---- */

static int check_vcpus(DoubleVm *vm)
{
    for (guint i = 0; i < vm->vcpus->len; i++) {
        DoubleVcpu *vcpu = g_ptr_array_index(vm->vcpus, i);

        if (!vcpu->initialized ||
            !(vcpu->features & BIT(KVM_ARM_VCPU_PSCI_0_2))) {
            return double_forbid(EINVAL, "vCPU %u lacks KVM_ARM_VCPU_PSCI_0_2",
                                 i);
        }
    }
    return vm->irqchip ? 0 : double_forbid(EOPNOTSUPP, "no irqchip");
}

static int init_ram(DoubleVm *vm)
{
    for (guint i = 0; i < vm->slots->len; i++) {
        DoubleSlot *slot = g_ptr_array_index(vm->slots, i);
        uint64_t base = slot->region.guest_phys_addr;

        if (slot->gmem &&
            mmu_ripas(vm, 0, base, base + slot->region.memory_size)) {
            return -ENXIO;
        }
    }
    return 0;
}

/* If any of it fails, the Realm never runs. */
static int first_run(DoubleVm *vm)
{
    int ret = check_vcpus(vm);

    if (!ret && !vm->rd) {
        ret = host_create(vm);
    }
    if (!ret) {
        ret = host_create_recs(vm);
    }
    if (!ret) {
        ret = init_ram(vm);
    }
    if (!ret) {
        ret = host_activate(vm);
    }
    if (ret) {
        vm->state = VM_DEAD;
    }
    return ret;
}

static int check_runs(DoubleVm *vm)
{
    if (vm->state == VM_DEAD) {
        return -EIO;
    }
    if (!migrate_may_run(vm)) {
        return -EPERM;
    }
    if (vm->state == VM_ACTIVE) {
        return 0;
    }
    return the_double->flavour->rme
        ? double_forbid(EINVAL, "a Realm that is not activated")
        : first_run(vm);
}

/* The Realm cannot be paused until leave_vcpu. */
static int enter_vcpu(DoubleVcpu *vcpu)
{
    DoubleVm *vm = vcpu->vm;
    QEMU_LOCK_GUARD(&vm->lock);
    int ret = check_runs(vm);

    vcpu->running = ret == 0;
    return ret;
}

static void leave_vcpu(DoubleVcpu *vcpu)
{
    QEMU_LOCK_GUARD(&vcpu->vm->lock);

    vcpu->running = false;
}

/* ---- Exits to QEMU ---- */

static int exit_memory_fault(DoubleVcpu *vcpu, uint64_t gpa, uint64_t size,
                             bool private)
{
    struct kvm_run *run = vcpu->kvm_run;

    run->exit_reason = KVM_EXIT_MEMORY_FAULT;
    run->memory_fault.flags = private ? KVM_MEMORY_EXIT_FLAG_PRIVATE : 0;
    run->memory_fault.gpa = gpa;
    run->memory_fault.size = size;
    return the_double->flavour->fault_is_error ? -EFAULT : 0;
}

/* QEMU emulates a write to a slot with KVM_MEM_READONLY. */
static int exit_mmio(DoubleVcpu *vcpu, uint64_t gpa)
{
    struct kvm_run *run = vcpu->kvm_run;

    run->exit_reason = KVM_EXIT_MMIO;
    run->mmio.phys_addr = gpa;
    run->mmio.len = 8;
    run->mmio.is_write = true;
    return 0;
}

static int exit_interrupted(DoubleVcpu *vcpu)
{
    vcpu->kvm_run->exit_reason = KVM_EXIT_INTR;
    return -EINTR;
}

static void finish(GuestAction *action, DoubleOutcome outcome)
{
    action->over = true;
    action->outcome = outcome;
}

/* ---- What the guest does ---- */

static void take_abort(DoubleVcpu *vcpu, uint64_t ipa, uint64_t fsc,
                       bool write)
{
    RmmSyndrome s = {
        .kind = RMM_EXCEPTION_SYNC,
        .esr = ESR_DATA_ABORT | ESR_ISV | fsc | (write ? ESR_WNR : 0),
        .far = ipa,
        .hpfar = ipa >> 12 << 4,
    };

    rmm_exception(the_double->rmm, &vcpu->pe, &s);
}

static void log_shared(DoubleVm *vm, uint64_t ipa)
{
    uint64_t gpa = ROUND_DOWN(ipa, GRANULE) & ~BIT_ULL(vm->ipa_bits - 1);

    QEMU_LOCK_GUARD(&vm->lock);
    if (migrate_logs_shared(vm)) {
        g_hash_table_add(vm->shared_log, GSIZE_TO_POINTER(gpa));
    }
}

/* The page at @ipa, as the PE finds it; NULL if the PE took an exception. */
static uint8_t *translate(DoubleVcpu *vcpu, uint64_t ipa, bool write,
                          uint8_t **tags)
{
    DoubleVm *vm = vcpu->vm;
    RmmTranslation found;
    DoubleSlot *slot;
    uint64_t gpa = ROUND_DOWN(ipa, GRANULE) & ~BIT_ULL(vm->ipa_bits - 1);
    RmmFault fault = rmm_stage2_walk(the_double->rmm, &vm->stage2, ipa,
                                     write ? RMM_ACCESS_WRITE
                                           : RMM_ACCESS_READ, &found);

    if (fault == RMM_FAULT_GPF) {       /* EL1 takes it, not the RMM */
        finish(vcpu->action, DOUBLE_ABORT);
        return NULL;
    }
    if (fault != RMM_FAULT_NONE) {
        take_abort(vcpu, ipa, found.level +
                   (fault == RMM_FAULT_PERMISSION ? FSC_PERMISSION
                                                  : FSC_TRANSLATION), write);
        return NULL;
    }
    if (!physical_is_shared(found.pa)) {
        *tags = physical_tags(found.pa);
        return physical_host(found.pa);
    }
    if (write) {
        log_shared(vm, ipa);
    }
    slot = slot_at(vm, gpa);
    gpa -= slot->region.guest_phys_addr;
    *tags = slot->tags ? slot->tags + gpa / 32 : NULL;
    return (uint8_t *)(uintptr_t)slot->region.userspace_addr + gpa;
}

/* Do the part of the access that is in one page, or take its exception. */
static void do_access(DoubleVcpu *vcpu, GuestAction *a)
{
    uint64_t offset = a->ipa % GRANULE, n = MIN(a->size, GRANULE - offset);
    uint8_t *tags, *page = translate(vcpu, a->ipa, a->write, &tags);

    if (!page) {
        return;
    }
    if (a->write) {
        memcpy(page + offset, a->buf, n);
    } else {
        memcpy(a->buf, page + offset, n);
    }
    a->ipa += n;
    a->buf += n;
    a->size -= n;
    if (!a->size) {
        finish(a, DOUBLE_DONE);
    }
}

static void do_tags(DoubleVcpu *vcpu, GuestAction *a)
{
    uint8_t *tags;

    if (translate(vcpu, a->ipa, a->write, &tags)) {
        assert(tags);
        memcpy(a->write ? tags : a->buf, a->write ? a->buf : tags,
               RMM_TAG_BYTES);
        finish(a, DOUBLE_DONE);
    }
}

static void guest_smc(DoubleVcpu *vcpu, uint64_t fid, uint64_t x1,
                      uint64_t x2, uint64_t x3, uint64_t x4)
{
    RmmPe *pe = &vcpu->pe;

    pe->x[0] = fid;
    pe->x[1] = x1;
    pe->x[2] = x2;
    pe->x[3] = x3;
    pe->x[4] = x4;
    pe->pc += 4;
    rmm_call(the_double->rmm, pe);
}

/* As Linux does, ask for pages that the host has destroyed as well. */
static void do_ripas(DoubleVcpu *vcpu, GuestAction *a)
{
    RmmPe *pe = &vcpu->pe;

    if (a->asked) {
        uint64_t done = pe->x[1] - a->ipa;

        if (pe->x[0] != RSI_SUCCESS || pe->x[2] == RSI_REJECT || !done) {
            finish(a, DOUBLE_REFUSED);
            return;
        }
        a->ipa += done;
        a->size -= done;
    }
    if (!a->size) {
        finish(a, DOUBLE_DONE);
        return;
    }
    a->asked = true;
    guest_smc(vcpu, RSI_IPA_STATE_SET, a->ipa, a->ipa + a->size,
              a->ram ? RMI_RIPAS_RAM : RMI_RIPAS_EMPTY, RSI_CHANGE_DESTROYED);
}

static void do_cpu_on(DoubleVcpu *vcpu, GuestAction *a)
{
    if (a->asked) {
        finish(a, vcpu->pe.x[0] == PSCI_SUCCESS ? DOUBLE_DONE
                                                : DOUBLE_REFUSED);
        return;
    }
    a->asked = true;
    guest_smc(vcpu, PSCI_FID_CPU_ON, a->target, a->value, 0, 0);
}

static void do_register(DoubleVcpu *vcpu, GuestAction *a)
{
    if (a->write) {
        vcpu->pe.x[a->target] = a->value;
    }
    a->value = vcpu->pe.x[a->target];
    finish(a, DOUBLE_DONE);
}

/* Run the guest until its action is done, or the REC exits. */
static void run_guest(DoubleVcpu *vcpu)
{
    static void (*const actions[GUEST_KINDS])(DoubleVcpu *, GuestAction *) = {
        [GUEST_ACCESS] = do_access,
        [GUEST_TAGS] = do_tags,
        [GUEST_RIPAS] = do_ripas,
        [GUEST_CPU_ON] = do_cpu_on,
        [GUEST_REGISTER] = do_register,
    };
    GuestAction *a = vcpu->action;

    while (vcpu->pe.world == RMM_WORLD_REALM && a && !a->over) {
        if (vcpu->pe.inject.pending) {
            vcpu->pe.inject.pending = false;
            finish(a, DOUBLE_ABORT);
        } else {
            actions[a->kind](vcpu, a);
        }
    }
    if (vcpu->pe.world == RMM_WORLD_REALM) {
        const RmmSyndrome irq = { .kind = RMM_EXCEPTION_IRQ };

        rmm_exception(the_double->rmm, &vcpu->pe, &irq);
    }
}

/* ---- Exits of the REC: a handler returns 1 to enter it again ---- */

static int handle_abort(DoubleVcpu *vcpu)
{
    DoubleVm *vm = vcpu->vm;
    uint64_t ipa = (vcpu->run->exit.hpfar & ~0xfull) << 8;
    uint64_t gpa = ipa & ~BIT_ULL(vm->ipa_bits - 1);
    bool private = ipa == gpa;
    QEMU_LOCK_GUARD(&vm->lock);
    DoubleSlot *slot = slot_at(vm, gpa);

    if (!slot) {
        if (private) {
            return -EFAULT;
        }
        vcpu->run->enter.flags = RMI_ENTER_INJECT_SEA;
        return 1;
    }
    if (slot->region.flags & KVM_MEM_READONLY && !private &&
        vcpu->run->exit.esr & ESR_WNR) {
        return exit_mmio(vcpu, gpa);
    }
    if (slot->gmem && the_double->flavour->vm_attributes &&
        vm_is_private(vm, gpa) != private) {
        return exit_memory_fault(vcpu,
                                 ROUND_DOWN(gpa, the_double->page_size),
                                 the_double->page_size, private);
    }
    if (!mmu_fault(vm, ipa)) {
        vcpu->kvm_run->exit_reason = KVM_EXIT_UNKNOWN;
        return -EFAULT;         /* RIPAS is DESTROYED */
    }
    return 1;
}

static int handle_ripas(DoubleVcpu *vcpu)
{
    const RmiRecExit *exit = &vcpu->run->exit;

    vcpu->ripas_pending = true;
    return exit_memory_fault(vcpu, exit->ripas_base,
                             exit->ripas_top - exit->ripas_base,
                             exit->ripas_value == RMI_RIPAS_RAM);
}

/* KVM handles PSCI in the kernel. */
static int handle_psci(DoubleVcpu *vcpu)
{
    const RmiRecExit *exit = &vcpu->run->exit;
    DoubleVm *vm = vcpu->vm;
    unsigned target = exit->gprs[1] & 0xff; /* an MPIDR, as MPIDR_EL1 reads */
    struct kvm_run *run = vcpu->kvm_run;

    if (exit->gprs[0] == PSCI_FID_CPU_ON) {
        if (target < vm->vcpus->len) {
            DoubleVcpu *other = g_ptr_array_index(vm->vcpus, target);

            RMI(RMI_PSCI_COMPLETE, vcpu->rec, other->rec, PSCI_SUCCESS);
        }
        return 1;
    }
    run->exit_reason = KVM_EXIT_SYSTEM_EVENT;
    run->system_event.type = KVM_SYSTEM_EVENT_SHUTDOWN;
    return 0;
}

static int handle_exit(DoubleVcpu *vcpu)
{
    switch (vcpu->run->exit.exit_reason) {
    case RMI_EXIT_SYNC:
        return handle_abort(vcpu);
    case RMI_EXIT_RIPAS_CHANGE:
        return handle_ripas(vcpu);
    case RMI_EXIT_PSCI:
        return handle_psci(vcpu);
    case RMI_EXIT_HOST_CALL:
        vcpu->run->enter.gprs[0] = SMCCC_NOT_SUPPORTED;
        return 1;
    default:
        return exit_interrupted(vcpu);
    }
}

/* Commit the change of RIPAS.  QEMU could prepare for it since the exit. */
static void commit_ripas(DoubleVcpu *vcpu)
{
    const RmiRecExit *exit = &vcpu->run->exit;
    QEMU_LOCK_GUARD(&vcpu->vm->lock);

    mmu_ripas(vcpu->vm, vcpu->rec, exit->ripas_base, exit->ripas_top);
    vcpu->ripas_pending = false;
}

static int run_vcpu(DoubleVcpu *vcpu)
{
    int ret;

    if (vcpu->ripas_pending) {
        commit_ripas(vcpu);
    }
    memset(&vcpu->run->enter, 0, sizeof(vcpu->run->enter));
    do {
        vcpu->pe = (RmmPe) { .x = { RMI_REC_ENTER, vcpu->rec,
                                    vcpu->run_pa } };
        rmm_call(the_double->rmm, &vcpu->pe);
        memset(&vcpu->run->enter, 0, sizeof(vcpu->run->enter));
        if (vcpu->pe.world != RMM_WORLD_REALM && vcpu->pe.x[0]) {
            vcpu->kvm_run->exit_reason = KVM_EXIT_FAIL_ENTRY;
            return -EPERM;      /* off */
        }
        run_guest(vcpu);
        ret = handle_exit(vcpu);
    } while (ret == 1);
    return ret;
}

int vcpu_run(DoubleFile *file, void *arg)
{
    DoubleVcpu *vcpu = file->object;
    int ret = enter_vcpu(vcpu);

    vcpu->kvm_run->exit_reason = KVM_EXIT_UNKNOWN;
    if (!ret) {
        ret = run_vcpu(vcpu);
        leave_vcpu(vcpu);
    }
    return ret;
}
