package main

// legacyPrograms lists what other bucket mounts take on the command line, after -o, or in their
// configuration, as of these releases. Options for other clouds than Alibaba's are left out.
func legacyPrograms() []legacyProgram {
	regionThere := "there it is the region's name: it is called --region here"
	classThere := "the same, with the names of OSS: Standard, IA, Archive, ColdArchive, DeepColdArchive"
	ownerThere := "the same, for objects that carry none of their own"
	umaskThere := "there it gives every object the modes that it leaves; here it clears bits of those that an object carries: see --file-mode, --dir-mode"
	return []legacyProgram{{
		name: "ossfs 1.x", // 1.91.10
		options: "accesskeyid ahbe_conf allow_other auto bucket check_cache_dir_exist cipher_suites cloudbox_id complement_stat connect_timeout " +
			"credential_process credlib credlib_opts curldbg dbglevel default_acl del_cache direct_read direct_read_backward_chunks " +
			"direct_read_chunk_size direct_read_local_file_cache_size_mb direct_read_prefetch_chunks direct_read_prefetch_limit " +
			"direct_read_prefetch_thread disable_imdsv2 disable_noobj_cache download_traffic_limit enable_content_md5 enable_unsigned_payload " +
			"endpoint ensure_diskfree f2 fake_diskfree fd_page_size free_space_ratio gid host instance_name list_object_max_keys listobjectsv2 " +
			"load_sse_c logfile max_dirty_data max_stat_cache_size mime mp_umask multipart_copy_size multipart_size multipart_threshold " +
			"multireq_max no_check_certificate no_time_stamp_msg noauto nocopyapi nodnscache nomixupload nomultipart nonempty norenameapi " +
			"noshallowcopyapi nosscache notsup_compat_dir noua nouser noxmlns parallel_count parallel_upload passwd_file public_bucket ram_role " +
			"readdir_check_size readdir_optimize readwrite_timeout region requester_pays retries secretaccesskey servicepath " +
			"set_check_cache_sigusr1 sigv1 sigv4 simulate_mtime_ns_with_crc64 singlepart_copy_limit skip_clean_statcache_on_ro_flush " +
			"ssl_verify_hostname stat_cache_expire stat_cache_interval_expire storage_class symlink_in_meta tmpdir uid umask " +
			"upload_traffic_limit url use_cache use_path_request_style use_rrs use_session_token use_sse use_wtf8 use_xattr user users " +
			"incomplete_mpu_list incomplete_mpu_abort",
		notes: map[string]string{
			"endpoint":      regionThere,
			"gid":           ownerThere,
			"uid":           ownerThere,
			"umask":         umaskThere,
			"storage_class": classThere,
			"ram_role":      "the same, without the metadata service's address",
			"url":           "it is called --endpoint here; https unless http:// is written",
		},
	}, {
		name:   "ossfs 2", // 2.0.7
		dashed: true,
		options: "allow_mark_dir_stale_recursively allow_other allow_rename_dir appendable_object_autoswitch_threshold attr_timeout bind_ips " +
			"cache_type close_to_open conf credential_process d dir_mode enable_admin_server enable_appendable_object enable_crc64 " +
			"enable_photon_logs enable_symlink enable_test_signal_handler enable_transmission_control f file_mode fuse_attr_timeout " +
			"fuse_entry_timeout fuse_threads gid http_proxy ignore_fsync inode_cache_eviction_interval_ms inode_cache_eviction_threshold " +
			"kernel_readdir_cache_timeout log_dir log_file_max_count log_file_max_size log_level max_inode_cache_count max_list_ret_count " +
			"memory_data_cache_size metrics_interval metrics_ip metrics_port min_reserved_buffer_size_per_file negative_timeout nonempty " +
			"oss_access_key_id oss_access_key_secret oss_bucket oss_bucket_prefix oss_endpoint oss_negative_cache_size " +
			"oss_negative_cache_timeout oss_region oss_request_timeout_ms oss_vcpu_count prefetch_chunk_size prefetch_chunks " +
			"prefetch_concurrency prefetch_concurrency_per_file ram_role readdirplus rename_dir_concurrency rename_dir_limit ro " +
			"seq_read_detect_count set_mime_for_rename_dst skip_trim_options sync_upload tc_max_latency_threshold_us total_mem_limit " +
			"total_rw_mem_ratio uid upload_buffer_size upload_concurrency upload_copy_concurrency use_auth_cache use_list_obj_v2",
		notes: map[string]string{
			"f": "the same: -f, or --foreground",
		},
	}, {
		name: "s3fs", // 1.97
		options: "accesskeyid ahbe_conf allow_other auto bucket bucket_size check_cache_dir_exist cipher_suites compat_dir complement_stat " +
			"connect_timeout credlib credlib_opts curldbg dbglevel default_acl del_cache disable_negative_cache disable_noobj_cache ecs " +
			"enable_content_md5 enable_negative_cache enable_noobj_cache enable_unsigned_payload endpoint ensure_diskfree f2 fake_diskfree " +
			"fd_page_size free_space_ratio gid hard_remove host iam_role ibm_iam_auth ibm_iam_endpoint imdsv1only insecure_logging " +
			"instance_name ipresolve list_object_max_keys listobjectsv2 load_sse_c logfile max_dirty_data max_stat_cache_size " +
			"max_thread_count mime mp_umask multipart_copy_size multipart_size multipart_threshold multireq_max no_check_certificate " +
			"no_time_stamp_msg noauto nocopyapi nodnscache nomixupload nomultipart norenameapi nosscache notsup_compat_dir noua nouser " +
			"noxmlns parallel_count parallel_upload passwd_file profile proxy proxy_cred_file public_bucket putheader_mp_threshold " +
			"readwrite_timeout region requester_pays retries secretaccesskey servicepath set_check_cache_sigusr1 sigv2 sigv4 " +
			"singlepart_copy_limit ssl_client_cert ssl_verify_hostname stat_cache_expire stat_cache_interval_expire storage_class " +
			"streamupload tmpdir uid umask update_parent_dir_stat url use_cache use_path_request_style use_rrs use_session_token use_sse " +
			"use_wtf8 use_xattr user users incomplete_mpu_list incomplete_mpu_abort",
		notes: map[string]string{
			"endpoint":      regionThere,
			"storage_class": classThere,
			"gid":           ownerThere,
			"uid":           ownerThere,
			"umask":         umaskThere,
		},
	}, {
		name:   "rclone mount", // 1.74
		dashed: true,
		options: "allow_idmap allow_non_empty allow_other allow_root async_read attr_timeout buffer_size bwlimit bwlimit_file ca_cert cache_dir " +
			"checkers client_cert client_key client_pass config contimeout daemon daemon_timeout daemon_wait debug_fuse default_permissions " +
			"devname dir_cache_time dir_perms direct_io dump exclude exclude_from fast_list file_perms files_from filter filter_from " +
			"fuse_flag gid header header_download header_upload http_proxy include include_from link_perms links log_file log_format " +
			"log_level log_systemd low_level_retries max_age max_buffer_memory max_read_ahead max_size metadata metrics_addr min_age min_size " +
			"multi_thread_cutoff multi_thread_streams no_check_certificate no_checksum no_modtime no_seek no_update_modtime option " +
			"poll_interval progress quiet rc rc_addr read_only retries retries_sleep s3_access_key_id s3_acl s3_chunk_size s3_copy_cutoff " +
			"s3_directory_markers s3_disable_checksum s3_endpoint s3_env_auth s3_force_path_style s3_leave_parts_on_error s3_list_chunk " +
			"s3_max_upload_parts s3_no_check_bucket s3_no_head_object s3_profile s3_provider s3_region s3_requester_pays s3_role_arn " +
			"s3_role_external_id s3_role_session_duration s3_role_session_name s3_secret_access_key s3_server_side_encryption " +
			"s3_session_token s3_shared_credentials_file s3_sse_kms_key_id s3_storage_class s3_sts_endpoint s3_upload_concurrency " +
			"s3_upload_cutoff s3_use_accelerate_endpoint s3_use_dual_stack s3_use_unsigned_payload s3_v2_auth stats timeout tpslimit " +
			"tpslimit_burst transfers uid umask use_json_log use_mmap use_server_modtime user_agent verbose vfs_block_norm_dupes " +
			"vfs_cache_max_age vfs_cache_max_size vfs_cache_min_free_space vfs_cache_mode vfs_cache_poll_interval vfs_case_insensitive " +
			"vfs_disk_space_total_size vfs_fast_fingerprint vfs_handle_caching vfs_links vfs_metadata_extension vfs_read_ahead " +
			"vfs_read_chunk_size vfs_read_chunk_size_limit vfs_read_chunk_streams vfs_read_wait vfs_refresh vfs_used_is_size vfs_write_back " +
			"vfs_write_wait volname write_back_cache",
		notes: map[string]string{
			"config":     "there it is rclone's own file; here it is more settings: see ossfs.conf(5)",
			"log_format": "there it is a list of fields; here it is text or json",
			"log_level":  "the same, in lower case: debug, info, warn, error",
			"umask":      "there it leaves 0666 and 0777 less its bits; here it clears bits of --file-mode, --dir-mode and what an object carries",
		},
	}}
}
