/*
 * The contract of RealmBackendOps: machines, as a case sees them
 *
 * Purpose and invariants: see machine.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include "machine.h"

struct Machine {
    const char *name;
    ContractSetup setup;
    pid_t pid;
    int fd;
    bool dead;
    GPtrArray *answers;
};

static const ContractHarness *the_harness;

void machine_init(const ContractHarness *harness)
{
    the_harness = harness;
}

const char *contract_call_name(ContractCall call)
{
    static const char *const names[] = {
#define NAME(name, text) [CALL_##name] = text,
        CONTRACT_CALLS(NAME)
#undef NAME
    };

    return names[call];
}

static void answer_free(void *opaque)
{
    Answer *answer = opaque;

    g_free(answer->error);
    g_byte_array_unref(answer->blob);
    g_free(answer);
}

/* QEMU's own output must not get into the TAP on stdout. */
G_NORETURN static void child(int fd, const ContractSetup *setup)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(STDERR_FILENO, STDOUT_FILENO);
    the_harness->start(setup);
    contract_serve(fd, the_harness);
}

Machine *machine_new(const char *name, const ContractSetup *setup)
{
    Machine *m = g_new0(Machine, 1);
    int fds[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds)) {
        g_error("socketpair: %s", strerror(errno));
    }
    m->name = name;
    m->setup = *setup;
    m->answers = g_ptr_array_new_with_free_func(answer_free);
    m->fd = fds[0];
    fflush(NULL);
    m->pid = fork();
    if (m->pid == 0) {
        close(fds[0]);
        child(fds[1], setup);
    }
    close(fds[1]);
    return m;
}

void machine_free(Machine *m)
{
    int status = 0;

    shutdown(m->fd, SHUT_RDWR);     /* later machines have inherited it */
    close(m->fd);
    waitpid(m->pid, &status, 0);
    if (status) {
        g_test_message("the %s ended with wait status 0x%x", m->name, status);
        g_test_fail();
    }
    g_ptr_array_unref(m->answers);
    g_free(m);
}

char *machine_capabilities(const Machine *m)
{
    return the_harness->capabilities(&m->setup);
}

static bool receive(Machine *m, void *buf, size_t size)
{
    for (size_t done = 0; done < size; ) {
        ssize_t ret = RETRY_ON_EINTR(read(m->fd, (char *)buf + done,
                                          size - done));

        if (ret <= 0) {
            return false;
        }
        done += ret;
    }
    return true;
}

static bool send_request(Machine *m, ContractCall call, const Args *args)
{
    size_t size = args->blob ? args->blob->len : 0;
    ContractRequest request = { .call = call, .blob_size = size,
                                .arg = { args->a, args->b, args->c } };

    return qemu_write_full(m->fd, &request, sizeof(request)) ==
               sizeof(request) &&
           (!size || qemu_write_full(m->fd, args->blob->data, size) == size);
}

static bool receive_answer(Machine *m, Answer *answer)
{
    ContractAnswer head;

    if (!receive(m, &head, sizeof(head))) {
        return false;
    }
    answer->ok = head.ok;
    answer->value = head.value;
    answer->extra = head.extra;
    answer->error = g_malloc0(head.error_size + 1);
    g_byte_array_set_size(answer->blob, head.blob_size);
    return receive(m, answer->error, head.error_size) &&
           receive(m, answer->blob->data, head.blob_size);
}

/* Fail once for each machine: all its later calls fail as well. */
static void machine_died(Machine *m, ContractCall call)
{
    if (!m->dead) {
        g_test_message("the %s died: %s", m->name, contract_call_name(call));
        g_test_fail();
    }
    m->dead = true;
}

const Answer *machine_ask(Machine *m, ContractCall call, const Args *args)
{
    Answer *answer = g_new0(Answer, 1);

    answer->blob = g_byte_array_new();
    g_ptr_array_add(m->answers, answer);
    if (m->dead || !send_request(m, call, args) ||
        !receive_answer(m, answer)) {
        machine_died(m, call);
        answer->ok = false;
        g_free(answer->error);
        answer->error = g_strdup("the machine died");
    }
    transcript_add(m->name, call, args, answer);
    return answer;
}

const Answer *machine_yes(Machine *m, ContractCall call, const Args *args)
{
    const Answer *answer = machine_ask(m, call, args);

    if (!answer->ok && !m->dead) {
        g_test_message("%s: %s: %s (%" PRId64 ")", m->name,
                       contract_call_name(call), answer->error,
                       answer->value);
        g_test_fail();
    }
    return answer;
}

const Answer *machine_no(Machine *m, ContractCall call, const Args *args)
{
    const Answer *answer = machine_ask(m, call, args);

    if (answer->ok || !*answer->error) {
        g_test_message("%s: %s: %s", m->name, contract_call_name(call),
                       answer->ok ? "should have been refused"
                                  : "refused without a reason");
        g_test_fail();
    }
    return answer;
}
