/*
 * What the architecture compliance suite refuses, command by command
 *
 * Purpose: the negative cases of its RMM 1.0 commands, transcribed: label,
 * *N if there are N, =STATUS/INDEX if that is not ERROR_INPUT/0.  A row of
 * ours is missing if one of these has none.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef NEGATIVE_LABELS_H
#define NEGATIVE_LABELS_H

static const struct {
    const char *command;
    unsigned count;
    const char *labels;
} suite_labels[] = {
    { "data_create", 32,
      "src_align src_bound*2 src_pas*2 data_align data_bound*2 "
      "data_state*5 data_bound2 rd_align rd_bound*2 rd_state*5 "
      "ipa_align ipa_bound*2 realm_state*2=REALM/0 realm_state_null "
      "rtt_walk=RTT/2 rtte_state=RTT/3 ipa_bound_compare_rtt_walk "
      "ipa_bound_compare_rtte_state" },
    { "data_create_unknown", 24,
      "data_align data_bound*2 data_state*5 data_bound2 rd_align "
      "rd_bound*2 rd_state*5 ipa_align ipa_bound*2 rtt_walk=RTT/2 "
      "rtte_state=RTT/3 ipa_bound_compare_rtt_walk "
      "ipa_bound_compare_rtte_state" },
    { "data_destroy", 16,
      "rd_align rd_bound*2 rd_state*5 ipa_align ipa_bound*2 "
      "rtt_walk=RTT/2 rtte_state=RTT/3 ipa_bound_compare_rtt_walk "
      "ipa_bound_compare_rtte_state aux_live=RTT_AUX/0" },
    { "granule_delegate", 10,
      "gran_align gran_bound*2 gran_state*5 gran_gpt*2" },
    { "granule_undelegate", 8,
      "gran_align gran_bound*2 gran_state*5" },
    { "realm_create", 34,
      "params_align params_bound*2 params_pas*2 params_valid*2 "
      "params_supp*7 alias rd_align rd_bound*2 rd_state*5 rtt_align*2 "
      "rtt_num_level rtt_state*2 vmid_valid*2 mecid_bound mecid_state "
      "vmid_valid*2" },
    { "realm_activate", 10,
      "rd_align rd_bound*2 rd_state*5 realm_state=REALM/0 "
      "realm_state_null" },
    { "realm_destroy", 9,
      "rd_align rd_bound*2 rd_state*5 realm_live=REALM/0" },
    { "rec_aux_count", 8,
      "rd_align rd_bound*2 rd_state*5" },
    { "rec_create", 32,
      "params_align params_bound*2 params_pas*2 rec_align rec_bound*2 "
      "rec_state*5 rd_align rd_bound*2 rd_state*5 realm_state*2=REALM/0 "
      "mpidr_index num_aux aux_align aux_alias aux_state*5" },
    { "rec_destroy", 8,
      "rec_align rec_bound*2 rec_gran_state*5" },
    { "rec_enter", 29,
      "run_align run_bound*2 run_pas*2 rec_align rec_bound*2 "
      "rec_gran_state*6 realm_new=REALM/0 rec_mmio=REC rec_psci=REC "
      "system_off=REALM/1 rec_runnable=REC rec_giv3=REC "
      "rec_align_compare_rec_gicv3 rec_bound_compare_rec_gicv3 "
      "rec_gran_state_compare_rec_gicv3 run_pas_compare_rec_runnable "
      "run_pas_compare_realm_new run_pas_compare_system_off "
      "run_bound_compare_rec_runnable run_bound_compare_realm_new "
      "run_bound_compare_system_off" },
    { "psci_complete", 21,
      "alias calling_align calling_bound*2 calling_state*5 target_align "
      "target_bound*2 target_state*5 pending owner target status" },
    { "rtt_create", 23,
      "rd_align rd_bound*2 rd_state*5 level_bound*2 ipa_align ipa_bound "
      "rtt_align rtt_bound*2 rtt_state*5 rtt_bound2 rtt_walk=RTT/1 "
      "rtte_state=RTT/1" },
    { "rtt_destroy", 16,
      "rd_align rd_bound*2 rd_state*5 level_bound*2 ipa_align ipa_bound "
      "rtt_walk=RTT/1 rtte_state*2=RTT/2 rtt_live=RTT/3" },
    { "rtt_fold", 18,
      "rd_align rd_bound*2 rd_state*5 level_bound*2 ipa_align ipa_bound "
      "rtt_walk=RTT/0 rtte_state*2=RTT/2 rtte_homo=RTT/3 "
      "level_bound_compare_rtt_walk level_bound_compare_rtte_state" },
    { "rtt_init_ripas", 18,
      "rd_align rd_bound*2 rd_state*5 size_valid top_bound "
      "realm_state*2=REALM/0 realm_state_null base_align=RTT/2 "
      "rtte_state=RTT/3 top_gran_align no_progress=RTT/2 "
      "top_gran_align_compare_no_progress" },
    { "rtt_map_unprotected", 18,
      "attr_valid rd_align rd_bound*2 rd_state*5 level_bound*2 "
      "addr_align addr_bound ipa_align ipa_bound*2 rtt_walk=RTT/2 "
      "rtte_state=RTT/3" },
    { "rtt_unmap_unprotected", 18,
      "rd_align rd_bound*2 rd_state*5 level_bound*2 ipa_align "
      "ipa_bound*2 rtt_walk=RTT/2 rtte_state=RTT/3 "
      "level_bound_compare_rtt_walk level_bound_compare_rtte_state "
      "ipa_bound_compare_rtt_walk" },
    { "rtt_read_entry", 11,
      "rd_align rd_bound*2 rd_state*5 level_bound ipa_align ipa_bound" },
    { "rtt_set_ripas", 26,
      "rd_align rd_bound*2 rd_state*5 rec_align rec_bound*2 "
      "rec_gran_state*5 rec_owner=REC size_valid base_bound top_bound "
      "base_align=RTT/2 top_gran_align no_progress=RTT/2 "
      "aux_live=RTT_AUX/3 base_bound_compare_base_align "
      "top_gran_align_compare_no_progress" },
    { "ipa_state_get", 4,
      "base_align end_align size_valid rgn_bound" },
    { "ipa_state_set", 5,
      "base_align top_align size_valid rgn_bound ripas_valid" },
    { "measurement_extend", 3,
      "index_bound*2 size_bound" },
    { "measurement_read", 1,
      "index_bound" },
    { "realm_config", 2,
      "addr_align addr_bound" },
    { "host_call", 2,
      "addr_align addr_bound" },
    { "attestation_token_continue", 5,
      "addr_align addr_bound offset_bound size_overflow size_bound" },
    { "affinity_info", 2,
      "target_bound=INVALID_PARAMS target_match=INVALID_PARAMS" },
    { "cpu_on", 3,
      "entry=INVALID_ADDRESS mpidr=INVALID_PARAMS runnable=ALREADY_ON" },
};

/* Those of the list that RMM 1.0 has no condition for. */
static const struct {
    const char *command, *label;
    unsigned count;
    const char *reason;
} suite_exceptions[] = {
    { "data_destroy", "aux_live", 1, "auxiliary tables of planes: RMM 1.1" },
    { "rtt_set_ripas", "aux_live", 1, "auxiliary tables of planes: RMM 1.1" },
    { "realm_create", "mecid_bound", 1, "memory encryption: RMM 1.1" },
    { "realm_create", "mecid_state", 1, "memory encryption: RMM 1.1" },
    { "realm_create", "vmid_valid", 2, "VMIDs of planes: RMM 1.1" },
};

#endif
