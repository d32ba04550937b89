/*
 * The KVM backend for Realms: answers that a REC waits for
 *
 * Purpose: what QEMU or KVM answered to the last exit of a vCPU, and the REC
 * gets at its next entry: the value of an emulated read, the results of a host
 * call, an abort.  The next entry is on the destination.  So these answers are
 * registers of the vCPU (KVM_REG_ARM_REC_ANSWER), and travel as such beside
 * QEMU's other state, and not under the RMM's seal: the host made them.
 *
 * Invariants: a vCPU without an answer adds nothing to the stream.  Flags that
 * came from a stream are known ones before the kernel gets them.
 *
 * Lock rule: BQL.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <linux/kvm.h>
#include <linux/kvm-cc-migration.h>
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "migration/vmstate.h"
#include "realm-kvm.h"

#define KNOWN (KVM_ARM_REC_ANSWER_MMIO | KVM_ARM_REC_ANSWER_HOST_CALL | \
               KVM_ARM_REC_ANSWER_ABORT)

/* Register 0 has the flags, the others X0 to X30. */
typedef RealmKvmAnswer Answer;

static bool is_due(void *opaque)
{
    return ((Answer *)opaque)->regs[0];
}

static int check_flags(void *opaque, int version_id)
{
    const Answer *answer = opaque;

    if (answer->regs[0] & ~(uint64_t)KNOWN) {
        error_report("Realm: the answer for vCPU %u has the flags 0x%" PRIx64
                     ", which this program does not know", answer->cpu,
                     answer->regs[0]);
        return -EINVAL;
    }
    return 0;
}

static const VMStateDescription vmstate_answer = {
    .name = "realm-kvm-answer",
    .needed = is_due,
    .post_load = check_flags,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT64_ARRAY(regs, Answer, 32),
        VMSTATE_END_OF_LIST()
    },
};

void realm_kvm_carry_answers(unsigned num_cpus)
{
    realm_kvm.answers = g_new0(Answer, num_cpus);
    for (unsigned i = 0; i < num_cpus; i++) {
        Answer *answer = &realm_kvm.answers[i];

        answer->cpu = i;
        vmstate_register(NULL, i, &vmstate_answer, answer);
    }
}

static bool read_answer(CPUState *cs, Answer *answer, Error **errp)
{
    g_autofree char *what = g_strdup_printf("read the answer that vCPU %d "
                                            "waits for", cs->cpu_index);

    memset(answer->regs, 0, sizeof(answer->regs));
    for (unsigned i = 0; i < ARRAY_SIZE(answer->regs); i++) {
        struct kvm_one_reg reg = {
            .id = KVM_REG_ARM_REC_ANSWER_REG(i),
            .addr = (uintptr_t)&answer->regs[i],
        };

        if (!realm_kvm_vcpu_do(cs, REALM_KVM_CALL(KVM_GET_ONE_REG, &reg), what,
                               errp)) {
            return false;
        }
        if (!answer->regs[0]) {
            break;
        }
    }
    if (answer->regs[0] & ~(uint64_t)KNOWN) {
        realm_kvm_invalid_answer(errp, "KVM_GET_ONE_REG", "vCPU %d waits for "
                                 "an answer with the flags 0x%" PRIx64,
                                 cs->cpu_index, answer->regs[0]);
        return false;
    }
    return true;
}

bool realm_kvm_read_answers(Error **errp)
{
    CPUState *cs;

    CPU_FOREACH(cs) {
        if (!read_answer(cs, &realm_kvm.answers[cs->cpu_index], errp)) {
            return false;
        }
    }
    return true;
}

/* The flags come last: until then there is no answer. */
static bool write_answer(CPUState *cs, Answer *answer, Error **errp)
{
    g_autofree char *what = g_strdup_printf("write the answer that vCPU %d "
                                            "waits for", cs->cpu_index);

    for (int i = ARRAY_SIZE(answer->regs) - 1; i >= 0; i--) {
        struct kvm_one_reg reg = {
            .id = KVM_REG_ARM_REC_ANSWER_REG(i),
            .addr = (uintptr_t)&answer->regs[i],
        };

        if (!realm_kvm_vcpu_do(cs, REALM_KVM_CALL(KVM_SET_ONE_REG, &reg), what,
                               errp)) {
            return false;
        }
    }
    return true;
}

bool realm_kvm_write_answers(Error **errp)
{
    CPUState *cs;

    CPU_FOREACH(cs) {
        Answer *answer = &realm_kvm.answers[cs->cpu_index];

        if (is_due(answer) && !write_answer(cs, answer, errp)) {
            return false;
        }
    }
    return true;
}
