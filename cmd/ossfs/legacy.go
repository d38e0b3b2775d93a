package main

import (
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// legacy is a group of options of other bucket mounts that have one answer here.
type legacy struct {
	names  string // as -o spells them, in lower case
	advice string // follows "no such mount option NAME: ", and stands in docs/MIGRATING.md
}

// adviceFor knows the options of other bucket mounts, however they are spelled, and says what does the
// same here.
func adviceFor(name string) (advice string, ok bool) {
	name = legacyName(name)
	for _, group := range legacyOptions() {
		for _, known := range strings.Fields(group.names) {
			if known == name {
				return group.advice, true
			}
		}
	}
	return "", false
}

// legacyName is the one spelling under which an option is looked for.
func legacyName(name string) string {
	return strings.ToLower(strings.ReplaceAll(strings.TrimLeft(name, "-"), "-", "_"))
}

// The answers that many options have.
const (
	legacyNoSecret = "ossfs takes no secret on the command line: set OSS_ACCESS_KEY_ID and OSS_ACCESS_KEY_SECRET, or write ~/.oss/credentials; " +
		"~/.passwd-ossfs and /etc/passwd-ossfs are read as before"
	legacyAutomatic = "ossfs finds this by itself; --memory bounds what it uses"
	legacyNoCache   = "ossfs caches in memory (--memory) and stages writes below --state-dir"
	legacyNever     = "nothing is needed in its place"
	legacyAlways    = "it is always so"
	legacyMissing   = "there is nothing like it here"
)

// legacyOptions is the table of all answers. The names in it are those of legacyPrograms, and a few that
// people type from memory.
func legacyOptions() []legacy {
	return slices.Concat(legacyAccess(), legacyAttributes(), legacyStores(), legacyRest())
}

// legacyAccess is about how the bucket is reached.
func legacyAccess() []legacy {
	return []legacy{
		{"accesskeyid secretaccesskey access_key_id access_key_secret ak sk oss_access_key_id oss_access_key_secret " +
			"oss_access_key session_token use_session_token s3_access_key_id s3_secret_access_key s3_session_token s3_env_auth " +
			"s3_shared_credentials_file", legacyNoSecret},
		{"passwd_file", "~/.passwd-ossfs and /etc/passwd-ossfs are read by themselves; another file of that form is named by the environment: OSS_CREDENTIAL_FILE"},
		{"credlib credlib_opts credential_process oss_credential_process",
			"a command that prints credentials is named by the environment: OSSFS_CREDENTIAL_PROCESS"},
		{"s3_role_arn s3_role_session_name s3_role_external_id s3_role_session_duration s3_sts_endpoint ram_role_arn",
			"a role to be assumed is named by the environment: ALIBABA_CLOUD_ROLE_ARN"},
		{"iam_role ecs oss_ram_role", "it is called --ram-role here"},
		{"public_bucket no_sign_request", "it is called --anonymous here"},
		{"s3_profile", "it is called --profile here"},
		{"disable_imdsv2 imdsv1only ibm_iam_auth ibm_iam_endpoint use_auth_cache s3_ibm_api_key", legacyNever},

		{"url host oss_endpoint s3_endpoint", "it is called --endpoint here"},
		{"servicepath service_path", "--endpoint has no path: give the host alone"},
		{"oss_region sigv4_region s3_region", "it is called --region here"},
		{"bucket oss_bucket oss_bucket_prefix prefix", "the bucket and its prefix are the source: oss://BUCKET/PREFIX"},
		{"sigv4 sigv2 sigv1 oss_signature_version s3_v2_auth", "it is called --sign v4, v2 or v1 here"},
		{"use_path_request_style path_style force_path_style s3_force_path_style", "it is called --addressing path here"},
		{"s3_use_accelerate_endpoint", "it is called --accelerate here"},
		{"s3_use_dual_stack", "it is called --dualstack here"},
		{"no_check_certificate ssl_verify_hostname no_verify_ssl ca_cert", "certificates are always checked: give yours with --ca-bundle FILE"},
		{"proxy http_proxy", "a proxy is named by the environment: HTTPS_PROXY, NO_PROXY"},
		{"proxy_cred_file ssl_client_cert client_cert client_key client_pass cipher_suites cloudbox_id ipresolve bind_ips user_agent " +
			"requester_pays s3_requester_pays", legacyMissing},
		{"retries retries_sleep low_level_retries readwrite_timeout connect_timeout request_timeout oss_request_timeout_ms timeout contimeout",
			"ossfs retries by itself, and keeps what it could not send yet"},
		{"upload_traffic_limit download_traffic_limit bwlimit bwlimit_file tpslimit tpslimit_burst enable_transmission_control " +
			"tc_max_latency_threshold_us", "there is no such limit here: use tc(8) or the bucket's own"},
	}
}

// legacyAttributes is about what is shown of objects.
func legacyAttributes() []legacy {
	return []legacy{
		{"mp_umask", "it is called --dir-mode here, which is a mode and no mask"},
		{"file_umask", "it is called --file-mode here, which is a mode and no mask"},
		{"dir_perms", "it is called --dir-mode here"},
		{"file_perms", "it is called --file-mode here"},
		{"link_perms no_modtime no_update_modtime use_server_modtime metadata", "modes, owners and times are kept with each object"},
		{"stat_cache_expire stat_cache_interval_expire attr_timeout entry_timeout fuse_attr_timeout fuse_entry_timeout " +
			"oss_negative_cache_timeout negative_timeout kernel_readdir_cache_timeout readdirplus_timeout dir_cache_time " +
			"poll_interval", "it is called --attr-ttl here"},
		{"close_to_open", "it is called --attr-ttl 0s here"},
		{"max_stat_cache_size max_inode_cache_count oss_negative_cache_size enable_noobj_cache disable_noobj_cache noobj_cache " +
			"enable_negative_cache disable_negative_cache inode_cache_eviction_threshold inode_cache_eviction_interval_ms " +
			"allow_mark_dir_stale_recursively skip_clean_statcache_on_ro_flush vfs_refresh fast_list",
			"attributes are kept in an index below --state-dir, which needs no limit"},
		{"readdir_optimize", "it is called --no-head here"},
	}
}

// legacyStores is about where data are kept and how they travel.
func legacyStores() []legacy {
	return []legacy{
		{"use_cache del_cache check_cache_dir_exist fd_page_size cache cache_type disk_data_cache_dir disk_data_cache_size " +
			"memory_data_cache_size direct_read direct_read_local_file_cache_size_mb enable_direct_read vfs_cache_mode vfs_cache_max_age " +
			"vfs_cache_max_size vfs_cache_poll_interval vfs_handle_caching", legacyNoCache},
		{"tmpdir temp_dir cache_dir", "it is called --state-dir here"},
		{"ensure_diskfree free_space_ratio temp_dir_free_bytes vfs_cache_min_free_space",
			"there it is what stays free on the disk; here --stage-size is what may be taken of it"},
		{"total_mem_limit total_rw_mem_ratio memory_limit buffer_size vfs_read_ahead max_buffer_memory max_read_ahead " +
			"min_reserved_buffer_size_per_file", "it is called --memory here"},
		{"vfs_write_back", "it is called --write-back here"},
		{"sync_upload streamupload", "close() uploads with --write-back off"},
		{"ignore_fsync", "it is called --fsync local here"},
		{"multipart_size parallel_count parallel_upload multireq_max max_thread_count upload_concurrency upload_copy_concurrency " +
			"upload_buffer_size prefetch_concurrency prefetch_concurrency_per_file prefetch_chunk_size prefetch_chunks " +
			"multipart_copy_size singlepart_copy_limit putheader_mp_threshold rename_dir_concurrency rename_dir_limit allow_rename_dir " +
			"max_list_ret_count list_object_max_keys seq_read_detect_count direct_read_backward_chunks direct_read_chunk_size " +
			"direct_read_prefetch_chunks direct_read_prefetch_limit direct_read_prefetch_thread readdir_check_size max_background " +
			"fuse_threads oss_vcpu_count transfers checkers vfs_read_chunk_size vfs_read_chunk_size_limit vfs_read_chunk_streams " +
			"vfs_read_wait vfs_write_wait async_read s3_chunk_size s3_copy_cutoff s3_upload_concurrency s3_max_upload_parts " +
			"s3_list_chunk multi_thread_streams multi_thread_cutoff use_mmap max_dirty_data", legacyAutomatic},
		{"multipart_threshold s3_upload_cutoff", "it is called --single-put here"},
		{"nocopyapi norenameapi noshallowcopyapi nomixupload nomultipart complement_stat compat_dir support_compat_dir notsup_compat_dir " +
			"listobjectsv2 use_list_obj_v2 readdirplus instance_name kernel_cache auto_cache direct_io write_back_cache noxmlns noua " +
			"nodnscache nosscache use_wtf8 mime set_mime_for_rename_dst set_check_cache_sigusr1 skip_trim_options hard_remove " +
			"enable_appendable_object appendable_object_autoswitch_threshold enable_unsigned_payload s3_use_unsigned_payload s3_no_check_bucket " +
			"s3_provider s3_no_head_object s3_directory_markers no_seek daemon daemon_wait daemon_timeout allow_non_empty s " +
			"update_parent_dir_stat no_time_stamp_msg enable_photon_logs vfs_fast_fingerprint vfs_used_is_size vfs_case_insensitive vfs_block_norm_dupes", legacyNever},
		{"use_xattr enable_symlink symlink_in_meta simulate_mtime_ns_with_crc64 vfs_links links", "extended attributes, links and nanoseconds are kept without being asked for"},
		{"enable_content_md5 enable_crc64 no_checksum s3_disable_checksum", legacyAlways + ": each upload is compared by its CRC-64"},
		{"bucket_size fake_diskfree vfs_disk_space_total_size ahbe_conf vfs_metadata_extension fuse_flag devname volname allow_root allow_idmap " +
			"insecure_logging header header_download header_upload", legacyMissing},
		{"exclude exclude_from exclude_if_present include include_from filter filter_from files_from files_from_raw ignore_case " +
			"min_size max_size min_age max_age", "everything below oss://BUCKET/PREFIX is shown"},
	}
}

// legacyRest is about new objects, logs and the command line.
func legacyRest() []legacy {
	return []legacy{
		{"storage_class_default s3_storage_class use_rrs", "it is called --storage-class here"},
		{"default_acl s3_acl", "it is called --acl here"},
		{"use_sse", "it is called --sse AES256 here; with a key of KMS, --sse KMS --sse-key-id ID"},
		{"s3_server_side_encryption", "it is called --sse here"},
		{"s3_sse_kms_key_id", "it is called --sse-key-id here"},
		{"load_sse_c", "keys of your own are not supported: --sse KMS uses one of KMS"},

		{"dbglevel loglevel", "it is called --log-level here"},
		{"curldbg f2 dump v vv verbose", "it is called --log-level debug here"},
		{"q quiet", "it is called --log-level error here"},
		{"log_dir logfile log_file_max_size log_file_max_count", "it is called --log-file here, and is re-opened on SIGHUP for logrotate"},
		{"use_json_log", "it is called --log-format json here"},
		{"log_systemd", "a daemon logs to the journal by itself"},
		{"debug_fuse", "it is called --debug here"},
		{"metrics_port metrics_ip metrics_addr metrics_interval pprof rc rc_addr", "it is called --metrics ADDR here"},
		{"enable_admin_server enable_test_signal_handler stats progress p", "ossfs status asks a mount by itself"},
		{"incomplete_mpu_list incomplete_mpu_abort u s3_leave_parts_on_error", "it is called ossfs uploads here"},
		{"fuse_device_fd", "give /dev/fd/N as the mountpoint"},
		{"c conf config_file", "it is called --config here"},
		{"option", "it is called -o here"},
		{"d", "it is called --foreground --debug here"},
	}
}

// legacyProgram is another bucket mount and its options.
type legacyProgram struct {
	name    string
	options string
	dashed  bool              // generic mount options are written as flags there
	notes   map[string]string // on options of ours that mean something else there
}

// answer is what a program's option is here: the same, or what the advice says.
func (p legacyProgram) answer(option string, flags *pflag.FlagSet) (text string, ok bool) {
	if note, ok := p.notes[option]; ok {
		return note, true
	}
	f := flags.Lookup(option)
	switch isFlag := f != nil && f.Name != optionsFlag; {
	case isFlag, isGeneric(option) && !p.dashed:
		return "the same", true
	case isGeneric(option):
		return "a mount option: -o " + option, true
	}
	return adviceFor(option)
}
