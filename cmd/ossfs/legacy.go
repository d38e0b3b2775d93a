package main

import "strings"

// adviceFor knows the options of ossfs 1.x, ossfs 2.x and s3fs, and says what does the same here.
func adviceFor(name string) (advice string, ok bool) {
	name = strings.ToLower(strings.ReplaceAll(name, "-", "_"))
	for _, group := range legacyOptions() {
		for _, known := range strings.Fields(group.names) {
			if known == name {
				return group.advice, true
			}
		}
	}
	return "", false
}

// legacy is a group of foreign options that have one answer.
type legacy struct {
	names  string
	advice string
}

func legacyOptions() []legacy {
	const (
		noSecret  = "ossfs takes no secret on the command line: set OSS_ACCESS_KEY_ID and OSS_ACCESS_KEY_SECRET, or write ~/.oss/credentials; ~/.passwd-ossfs and /etc/passwd-ossfs are read as before"
		automatic = "ossfs finds this by itself; --memory bounds what it uses"
		noCache   = "ossfs caches in memory (--memory) and stages writes below --state-dir"
		never     = "nothing is needed in its place"
	)
	return []legacy{
		{"passwd_file access_key_id access_key_secret ak sk oss_access_key_id oss_access_key_secret oss_access_key session_token use_session_token " +
			"credlib credlib_opts credential_process oss_credential_process", noSecret},
		{"url host oss_endpoint service_path", "it is called --endpoint here"},
		{"oss_region sigv4_region", "it is called --region here"},
		{"bucket oss_bucket oss_bucket_prefix prefix", "the bucket and its prefix are the source: oss://BUCKET/PREFIX"},
		{"ram_role_arn iam_role ecs oss_ram_role", "it is called --ram-role here"},
		{"public_bucket no_sign_request", "it is called --anonymous here"},
		{"sigv4 sigv2 sigv1 oss_signature_version", "it is called --sign v4, v2 or v1 here"},
		{"use_path_request_style path_style force_path_style", "it is called --addressing path here"},
		{"mp_umask", "it is called --dir-mode here"},
		{"file_umask", "it is called --file-mode here"},
		{"dbglevel curldbg f2 log_dir loglevel", "it is called --log-level and --log-file here"},
		{"logfile", "it is called --log-file here"},
		{"metrics_port pprof", "it is called --metrics ADDR here"},
		{"stat_cache_expire stat_cache_interval_expire attr_timeout entry_timeout oss_negative_cache_timeout negative_timeout " +
			"kernel_readdir_cache_timeout readdirplus_timeout close_to_open", "it is called --attr-ttl here"},
		{"use_cache del_cache check_cache_dir_exist disk_data_cache_dir disk_data_cache_size memory_data_cache_size direct_read " +
			"direct_read_prefetch_limit direct_read_prefetch_chunks enable_direct_read cache", noCache},
		{"tmpdir temp_dir", "it is called --state-dir here"},
		{"ensure_diskfree free_space_ratio temp_dir_free_bytes max_dirty_data", "it is called --stage-size here"},
		{"total_mem_limit memory_limit", "it is called --memory here"},
		{"multipart_size parallel_count multireq_max max_thread_count upload_concurrency upload_buffer_size prefetch_concurrency " +
			"prefetch_chunk_size multipart_threshold multipart_copy_size singlepart_copy_limit rename_dir_concurrency rename_dir_limit " +
			"max_list_ret_count seq_read_detect_count", automatic},
		{"max_stat_cache_size enable_noobj_cache disable_noobj_cache noobj_cache readdir_optimize readdir_check_size compat_dir " +
			"support_compat_dir listobjectsv2 nomultipart nocopyapi norenameapi noshallowcopyapi nomixupload complement_stat " +
			"notsup_compat_dir instance_name kernel_cache auto_cache direct_io use_xattr enable_content_md5 noxmlns use_wtf8 " +
			"sync_upload ignore_fsync enable_symlink enable_appendable_object max_background hard_remove streamupload " +
			"inode_cache_eviction_threshold", never},
		{"retries readwrite_timeout connect_timeout request_timeout", "ossfs retries by itself, and keeps what it could not send yet"},
		{"no_check_certificate ssl_verify_hostname no_verify_ssl", "certificates are always checked: give yours with --ca-bundle FILE"},
		{"storage_class_default", "it is called --storage-class here"},
		{"default_acl", "it is called --acl here"},
		{"use_sse load_sse_c", "it is called --sse here"},
		{"bind_ips upload_traffic_limit download_traffic_limit bwlimit", "there is no such limit: use tc(8) or the service's own"},
		{"incomplete_mpu_list incomplete_mpu_abort u", "it is called ossfs uploads here"},
		{"fuse_device_fd", "give /dev/fd/N as the mountpoint"},
		{"c conf", "it is called --config here"},
	}
}
