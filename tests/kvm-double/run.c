/*
 * The stand-in kernel: KVM_RUN, and the guest
 *
 * Purpose: enter the REC, and let the guest do what guest.c asked for.  The
 * kernel answers some exits of the REC itself, and returns to QEMU for the
 * others: a change of RIPAS, or an access to a page that is in the other half's
 * state.
 *
 * Invariants: a vCPU without an action is interrupted at once.  What the last
 * exit asked KVM for stays pending until the next entry of the REC.  KVM_RUN
 * with immediate_exit, or a signal, ends before that.
 *
 * Lock rule: one thread runs a vCPU, and takes DoubleVm.lock to change the VM.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/lockable.h"
#include "internal.h"

#define ACCESS_REG      16      /* the guest loads and stores this one */
#define ESR_DATA_ABORT  (0x24ull << 26 | 1ull << 25)
#define ESR_WNR         (1ull << 6)
/* 64 bits, in that register */
#define ESR_ISV         (1ull << 24 | 3ull << 22 | ACCESS_REG << 16 | 1 << 15)
#define FSC_TRANSLATION 4
#define FSC_PERMISSION  12

/* ---- The first run, in the second generation ---- */

/* What fails here leaves the VM as it is; KVM_RUN may be tried again. */
static int check_irqchip(DoubleVm *vm)
{
    if (!vm->irqchip) {
        return double_forbid(EOPNOTSUPP, "no irqchip");
    }
    if (the_double->flavour->after_v15 && !vm->vgic_initialized) {
        return double_forbid(ENODEV, "the GIC is not initialised");
    }
    return 0;
}

static int check_vcpus(DoubleVm *vm)
{
    for (guint i = 0; i < vm->vcpus->len; i++) {
        DoubleVcpu *vcpu = g_ptr_array_index(vm->vcpus, i);

        if (!vcpu->initialized ||
            !(vcpu->vm->features & BIT(KVM_ARM_VCPU_PSCI_0_2))) {
            return double_forbid(EINVAL, "vCPU %u lacks KVM_ARM_VCPU_PSCI_0_2",
                                 i);
        }
    }
    return 0;
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

/* If any of it fails once there is a descriptor, the VM is dead. */
static int first_run(DoubleVm *vm)
{
    int ret = check_irqchip(vm);

    if (!ret && !vm->rd) {
        ret = host_create(vm);
    }
    if (ret) {
        return ret;
    }
    ret = check_vcpus(vm) ?: host_create_recs(vm) ?: init_ram(vm) ?:
          host_activate(vm);
    if (ret) {
        vm_kill(vm);
    }
    return ret;
}

static int check_runs(const DoubleVcpu *vcpu)
{
    DoubleVm *vm = vcpu->vm;
    int ret;

    if (vm->dead) {
        return -EIO;
    }
    ret = vcpu_check_init(vcpu);
    if (ret) {
        return ret;
    }
    if (!migrate_may_run(vm)) {
        return -EPERM;
    }
    if (!vm->realm || vm->state == VM_ACTIVE) {
        return 0;
    }
    return the_double->flavour->rme
        ? double_forbid(EINVAL, "a Realm that is not activated")
        : first_run(vm);
}

/* What user space has read from a device is taken before anything else. */
static void take_mmio(DoubleVcpu *vcpu)
{
    const struct kvm_run *run = vcpu->kvm_run;

    if (vcpu->mmio_pending) {
        vcpu->run->enter.flags |= RMI_ENTER_EMUL_MMIO;
        if (!run->mmio.is_write) {
            vcpu->run->enter.gprs[0] = ldq_le_p(run->mmio.data);
        }
        vcpu->mmio_pending = false;
    }
}

static int exit_interrupted(DoubleVcpu *vcpu)
{
    vcpu->kvm_run->exit_reason = KVM_EXIT_INTR;
    return -EINTR;
}

/*
 * What KVM does before each entry of the REC: sleep as long as the vCPU is off,
 * then complete what the last exit asked for, unless there is a signal.
 * Returns 0 if the REC may be entered.
 */
static int prepare_entry(DoubleVcpu *vcpu)
{
    DoubleVm *vm = vcpu->vm;

    while (vcpu->power_off && !vcpu->signalled && !vm->dead) {
        qemu_cond_wait(&vm->wake, &vm->lock);
    }
    if (vm->dead) {
        return -EIO;
    }
    if (vcpu->signalled || !vm->realm) {        /* no guest runs there */
        vcpu->signalled = false;
        return exit_interrupted(vcpu);
    }
    return run_complete(vcpu) ? 0 : -EFAULT;
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

/* QEMU emulates what no slot has, and a write to one with KVM_MEM_READONLY. */
static int exit_mmio(DoubleVcpu *vcpu, uint64_t gpa)
{
    const RmiRecExit *exit = &vcpu->run->exit;
    struct kvm_run *run = vcpu->kvm_run;

    run->exit_reason = KVM_EXIT_MMIO;
    run->mmio.phys_addr = gpa | (exit->far & (GRANULE - 1));
    run->mmio.len = 8;
    run->mmio.is_write = (exit->esr & ESR_WNR) != 0;
    if (run->mmio.is_write) {
        stq_le_p(run->mmio.data, exit->gprs[0]);
    }
    vcpu->mmio_pending = true;
    return 0;
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

    if (write) {
        memcpy(&vcpu->pe.x[ACCESS_REG], vcpu->action->buf,
               MIN(vcpu->action->size, 8));
    }
    vcpu->action->aborted = true;
    vcpu->action->abort_pc = vcpu->pe.pc;
    rmm_exception(the_double->rmm, &vcpu->pe, &s);
}

static void log_shared(DoubleVm *vm, uint64_t ipa)
{
    QEMU_LOCK_GUARD(&vm->lock);

    log_write(vm, ipa & ~BIT_ULL(vm->ipa_bits - 1));
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
    slot = slot_at(vm, gpa);
    if (write && ipa & BIT_ULL(vm->ipa_bits - 1)) {
        log_shared(vm, ipa);
    }
    if (slot->in_place || !(ipa & BIT_ULL(vm->ipa_bits - 1))) {
        *tags = physical_tags(found.pa);
        return physical_host(found.pa);
    }
    gpa -= slot->region.guest_phys_addr;
    *tags = slot->tags ? slot->tags + gpa / 32 : NULL;
    return (uint8_t *)(uintptr_t)slot->region.userspace_addr + gpa;
}

/* The host has emulated the access, of at most 8 bytes. */
static bool is_emulated(const DoubleVcpu *vcpu, const GuestAction *a)
{
    return a->aborted && vcpu->pe.pc == a->abort_pc + 4;
}

/* Do the part of the access that is in one page, or take its exception. */
static void do_access(DoubleVcpu *vcpu, GuestAction *a)
{
    uint64_t offset = a->ipa % GRANULE, n = MIN(a->size, GRANULE - offset);
    uint8_t *tags, *page;

    if (is_emulated(vcpu, a)) {
        if (!a->write) {
            memcpy(a->buf, &vcpu->pe.x[ACCESS_REG], MIN(n, 8));
        }
        finish(a, DOUBLE_DONE);
        return;
    }
    page = translate(vcpu, a->ipa, a->write, &tags);
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

static void do_off(DoubleVcpu *vcpu, GuestAction *a)
{
    guest_smc(vcpu, PSCI_FID_SYSTEM_OFF, 0, 0, 0, 0);
}

/* The RsiHostCall is at @ipa. */
static void do_host_call(DoubleVcpu *vcpu, GuestAction *a)
{
    if (a->asked) {
        finish(a, vcpu->pe.x[0] == RSI_SUCCESS ? DOUBLE_DONE : DOUBLE_REFUSED);
        return;
    }
    a->asked = true;
    guest_smc(vcpu, RSI_HOST_CALL, a->ipa, 0, 0, 0);
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
        [GUEST_OFF] = do_off,
        [GUEST_HOST_CALL] = do_host_call,
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
    if (a && a->at_exit) {
        a->at_exit(vcpu);
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
        return private ? -EFAULT : exit_mmio(vcpu, gpa);
    }
    if (slot->region.flags & KVM_MEM_READONLY && !private &&
        vcpu->run->exit.esr & ESR_WNR) {
        return exit_mmio(vcpu, gpa);
    }
    if (slot->gmem &&
        (the_double->flavour->vm_attributes || slot->in_place) &&
        vm_is_private(vm, gpa) != private) {
        return exit_memory_fault(vcpu,
                                 ROUND_DOWN(gpa, the_double->page_size),
                                 the_double->page_size, private);
    }
    if ((slot->region.flags & KVM_MEM_GUEST_MEMFD) && !slot->gmem &&
        (private || slot->in_place)) {          /* it was closed */
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

/* The range that the vCPU's change of RIPAS is about, and what it wants. */
static int exit_ripas(DoubleVcpu *vcpu)
{
    const RmiRecExit *exit = &vcpu->run->exit;

    return exit_memory_fault(vcpu, exit->ripas_base,
                             exit->ripas_top - exit->ripas_base,
                             exit->ripas_value == RMI_RIPAS_RAM);
}

static int handle_ripas(DoubleVcpu *vcpu)
{
    const RmiRecExit *exit = &vcpu->run->exit;
    uint64_t shared = BIT_ULL(vcpu->vm->ipa_bits - 1);

    if (exit->ripas_top <= exit->ripas_base || exit->ripas_base >= shared ||
        exit->ripas_top > shared) {
        vcpu->run->enter.flags = RMI_ENTER_RIPAS_REJECT;
        return -EINVAL;
    }
    vcpu->ripas_pending = true;
    return exit_ripas(vcpu);
}

static DoubleVcpu *psci_target(const DoubleVcpu *vcpu)
{
    uint64_t mpidr = vcpu->run->exit.gprs[1] & 0xff;    /* as MPIDR_EL1 reads */

    return mpidr < vcpu->vm->vcpus->len
        ? g_ptr_array_index(vcpu->vm->vcpus, mpidr) : NULL;
}

static int exit_system_event(DoubleVcpu *vcpu, unsigned type)
{
    DoubleVm *vm = vcpu->vm;

    for (guint i = 0; i < vm->vcpus->len; i++) {
        ((DoubleVcpu *)g_ptr_array_index(vm->vcpus, i))->power_off = true;
    }
    vcpu->kvm_run->exit_reason = KVM_EXIT_SYSTEM_EVENT;
    vcpu->kvm_run->system_event.type = type;
    return 0;
}

/* KVM handles PSCI itself; the next entry tells the RMM that it did. */
static int handle_psci(DoubleVcpu *vcpu)
{
    DoubleVcpu *target = psci_target(vcpu);
    QEMU_LOCK_GUARD(&vcpu->vm->lock);

    switch (vcpu->run->exit.gprs[0]) {
    case PSCI_FID_CPU_ON:
        if (target) {
            target->power_off = false;
            target->came = false;
            qemu_cond_broadcast(&vcpu->vm->wake);
        }
        /* fall through */
    case PSCI_FID_AFFINITY_INFO:
        vcpu->psci_pending = target != NULL;
        return 1;
    case PSCI_FID_CPU_OFF:
        vcpu->power_off = true;
        return 1;
    case PSCI_FID_SYSTEM_OFF:
        return exit_system_event(vcpu, KVM_SYSTEM_EVENT_SHUTDOWN);
    case PSCI_FID_SYSTEM_RESET:
        return exit_system_event(vcpu, KVM_SYSTEM_EVENT_RESET);
    default:
        return 1;
    }
}

/* KVM takes it for an HVC, of a function that it does not have. */
static int handle_host_call(DoubleVcpu *vcpu)
{
    RmiRecRun *run = vcpu->run;

    memcpy(run->enter.gprs, run->exit.gprs, sizeof(run->enter.gprs));
    memset(run->enter.gprs, 0, 4 * sizeof(run->enter.gprs[0]));
    run->enter.gprs[0] = SMCCC_NOT_SUPPORTED;
    vcpu->host_call_pending = true;
    return 1;
}

/* Of this KVM knows nothing; after version 15, it is the end of the VM. */
static int exit_internal_error(DoubleVcpu *vcpu, bool dead)
{
    vcpu->kvm_run->exit_reason = KVM_EXIT_INTERNAL_ERROR;
    if (dead) {
        QEMU_LOCK_GUARD(&vcpu->vm->lock);
        vm_kill(vcpu->vm);
    }
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
        return handle_host_call(vcpu);
    case RMI_EXIT_IRQ:
    case RMI_EXIT_FIQ:
    case RMI_EXIT_SERROR:
        return exit_interrupted(vcpu);
    default:
        return exit_internal_error(vcpu, the_double->flavour->after_v15);
    }
}

/* After version 15, memory has to be as the Realm wants it: RAM is private. */
static bool ripas_agrees(DoubleVcpu *vcpu)
{
    const RmiRecExit *exit = &vcpu->run->exit;
    bool private = exit->ripas_value == RMI_RIPAS_RAM;

    for (uint64_t gpa = exit->ripas_base;
         the_double->flavour->after_v15 && gpa < exit->ripas_top;
         gpa += GRANULE) {
        if (vm_is_private(vcpu->vm, gpa) != private) {
            return false;
        }
    }
    return true;
}

bool run_complete(DoubleVcpu *vcpu)
{
    const RmiRecExit *exit = &vcpu->run->exit;

    take_mmio(vcpu);
    if (vcpu->psci_pending) {
        RMI(RMI_PSCI_COMPLETE, vcpu->rec, psci_target(vcpu)->rec,
            PSCI_SUCCESS);
        vcpu->psci_pending = false;
    }
    if (vcpu->ripas_pending) {
        if (!ripas_agrees(vcpu)) {
            exit_ripas(vcpu);
            return false;
        }
        mmu_ripas(vcpu->vm, vcpu->rec, exit->ripas_base, exit->ripas_top);
        vcpu->ripas_pending = false;
    }
    return true;
}

/*
 * The REC cannot be entered now.  If it has come by COMMIT, it does not take
 * the answer that came with it, which is dropped; or it is off, and the vCPU
 * sleeps.
 */
static int handle_rec(DoubleVcpu *vcpu)
{
    QEMU_LOCK_GUARD(&vcpu->vm->lock);

    if (!vcpu->came) {
        return -EAGAIN;
    }
    if (vcpu->run->enter.flags) {
        memset(&vcpu->run->enter, 0, sizeof(vcpu->run->enter));
        vcpu->host_call_pending = false;
        return -EINVAL;
    }
    vcpu->came = false;
    vcpu->power_off = true;
    return 1;
}

/* The RMM refused to enter the REC.  Returns 1 to try again. */
static int handle_refusal(DoubleVcpu *vcpu, uint64_t result)
{
    switch (RMI_STATUS(result)) {
    case RMI_ERROR_REALM:
        vcpu->kvm_run->exit_reason = KVM_EXIT_SHUTDOWN;
        return 0;
    case RMI_ERROR_REC:
        return handle_rec(vcpu);
    default:
        return exit_internal_error(vcpu, true);
    }
}

/* Returns 1 to enter the REC again. */
static int run_once(DoubleVcpu *vcpu)
{
    WITH_QEMU_LOCK_GUARD(&vcpu->vm->lock) {
        int ret = prepare_entry(vcpu);

        if (ret) {
            return ret;
        }
    }
    vcpu->pe = (RmmPe) { .x = { RMI_REC_ENTER, vcpu->rec, vcpu->run_pa } };
    rmm_call(the_double->rmm, &vcpu->pe);
    if (vcpu->pe.world != RMM_WORLD_REALM && vcpu->pe.x[0]) {
        return handle_refusal(vcpu, vcpu->pe.x[0]);
    }
    vcpu->host_call_pending = false;
    WITH_QEMU_LOCK_GUARD(&vcpu->vm->lock) {
        vcpu->came = false;
    }
    run_guest(vcpu);
    memset(&vcpu->run->enter, 0, sizeof(vcpu->run->enter));
    return handle_exit(vcpu);
}

/* The vCPU cannot be paused between this and leave. */
static int enter(DoubleVcpu *vcpu)
{
    QEMU_LOCK_GUARD(&vcpu->vm->lock);
    int ret = check_runs(vcpu);

    if (ret) {
        return ret;
    }
    take_mmio(vcpu);
    if (vcpu->kvm_run->immediate_exit) {
        return -EINTR;          /* exit_reason is the last one's still */
    }
    vcpu->running = true;
    vcpu->kvm_run->exit_reason = KVM_EXIT_UNKNOWN;
    return 0;
}

static void leave(DoubleVcpu *vcpu)
{
    QEMU_LOCK_GUARD(&vcpu->vm->lock);

    vcpu->running = false;
}

int vcpu_run(DoubleFile *file, void *arg)
{
    DoubleVcpu *vcpu = file->object;
    int ret = arg ? double_forbid(EINVAL, "KVM_RUN has no argument")
                  : enter(vcpu);

    if (!ret) {
        do {
            ret = run_once(vcpu);
        } while (ret == 1);
        leave(vcpu);
    }
    return ret;
}

void double_kick(DoubleVcpu *vcpu)
{
    QEMU_LOCK_GUARD(&vcpu->vm->lock);

    vcpu->signalled = true;
    qemu_cond_broadcast(&vcpu->vm->wake);
}
