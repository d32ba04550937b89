/*
 * The stand-in kernel: a Realm and its RECs
 *
 * Purpose: create, activate and destroy a Realm and its RECs by RMI calls, for
 * both generations of the interface.
 *
 * Invariants: all that was created is destroyed with the VM, in whatever state
 * the Realm is.
 *
 * Lock rule: DoubleVm.lock is held.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "internal.h"

static int start_level(unsigned ipa_bits)
{
    return ipa_bits <= 43 ? 1 : 0;
}

static void fill_params(DoubleVm *vm, RmiRealmParams *params)
{
    params->ext_flags = (vm->migratable ? RMI_REALM_EXT_MIGRATION : 0) |
                        (vm->mte ? RMI_REALM_EXT_MTE : 0);
    params->s2sz = vm->ipa_bits;
    params->num_bps = 5;
    params->num_wps = 3;
    params->hash_algo = vm->hash_algo;
    memcpy(params->rpv, vm->rpv, sizeof(params->rpv));
    params->vmid = ++the_double->next_vmid;
    params->rtt_base = vm->table;
    params->rtt_level_start = start_level(vm->ipa_bits);
    params->rtt_num_start = vm->num_tables;
}

static bool set_policy(DoubleVm *vm)
{
    return RMI(MIG_FID_BASE + MIG_SET_POLICY, vm->rd,
               physical_window(0, vm->policy, vm->policy_size),
               vm->policy_size) == 0;
}

static void free_granules(DoubleVm *vm)
{
    physical_release(vm->rd, 1);
    physical_release(vm->table, vm->num_tables);
    vm->rd = 0;
}

int host_create(DoubleVm *vm)
{
    g_autofree RmiRealmParams *params = g_new0(RmiRealmParams, 1);
    int level = start_level(vm->ipa_bits);

    vm->num_tables = 1u << MAX((int)vm->ipa_bits - (48 - 9 * level), 0);
    vm->table = physical_alloc(vm->num_tables);
    vm->rd = physical_alloc(1);
    fill_params(vm, params);
    if (RMI(RMI_REALM_CREATE, vm->rd,
            physical_window(0, params, sizeof(*params)))) {
        free_granules(vm);
        return -ENXIO;
    }
    vm->state = VM_NEW;
    if (vm->policy_size && !set_policy(vm)) {
        vm_kill(vm);
        return -ENXIO;
    }
    return 0;
}

int host_create_rec(DoubleVcpu *vcpu)
{
    g_autofree RmiRecParams *params = g_new0(RmiRecParams, 1);

    params->flags = vcpu->index ? 0 : RMI_REC_RUNNABLE;
    params->mpidr = vcpu->index;
    if (!vcpu->index) {
        params->pc = vcpu->pc;
        memcpy(params->gprs, vcpu->x, sizeof(params->gprs));
    }
    vcpu->rec = physical_alloc(1);
    if (RMI(RMI_REC_CREATE, vcpu->vm->rd, vcpu->rec,
            physical_window(0, params, sizeof(*params)))) {
        physical_release(vcpu->rec, 1);
        vcpu->rec = 0;
        return -ENXIO;
    }
    vcpu->run = physical_run_page(&vcpu->run_pa);
    if (vcpu->index == 0) {
        rmm_stage2(the_double->rmm, vcpu->rec, &vcpu->vm->stage2);
    }
    return 0;
}

int host_create_recs(DoubleVm *vm)
{
    int ret = 0;

    for (guint i = 0; i < vm->vcpus->len && !ret; i++) {
        ret = host_create_rec(g_ptr_array_index(vm->vcpus, i));
    }
    return ret;
}

/* KVM_RUN of another vCPU would fail: its REC is not runnable. */
static void check_power_states(DoubleVm *vm)
{
    for (guint i = 0; i < vm->vcpus->len; i++) {
        const DoubleVcpu *vcpu = g_ptr_array_index(vm->vcpus, i);

        if (vcpu->power_off != (i > 0)) {
            double_forbid(ENXIO, "vCPU %u: the first vCPU starts alone", i);
        }
    }
}

int host_activate(DoubleVm *vm)
{
    check_power_states(vm);
    if (RMI(RMI_REALM_ACTIVATE, vm->rd)) {
        vm_kill(vm);
        return -ENXIO;
    }
    vm->state = VM_ACTIVE;
    return 0;
}

static void destroy_rec(DoubleVcpu *vcpu)
{
    if (vcpu->rec) {
        g_assert_cmphex(RMI(RMI_REC_DESTROY, vcpu->rec), ==, 0);
        physical_release(vcpu->rec, 1);
        physical_free_run_page(vcpu->run_pa);
        vcpu->rec = 0;
    }
}

void host_destroy(DoubleVm *vm)
{
    if (!vm->rd) {
        return;
    }
    migrate_forget(vm);
    for (guint i = 0; i < vm->vcpus->len; i++) {
        destroy_rec(g_ptr_array_index(vm->vcpus, i));
    }
    mmu_destroy(vm);
    g_assert_cmphex(RMI(RMI_REALM_DESTROY, vm->rd), ==, 0);
    free_granules(vm);
}
