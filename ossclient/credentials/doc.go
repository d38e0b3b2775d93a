// Package credentials finds the access key a bucket is read with, in every place where an Alibaba
// Cloud tool would look, and keeps temporary ones fresh.
//
// A [Source] is one such place: an environment, a file, a service. [Chain] tries the sources in a
// fixed order and stays with the first that has credentials. A [Provider] is what a client holds: it
// remembers the credentials, renews them before they expire and says where they came from.
//
// # Order
//
//  1. --anonymous, --ram-role, --profile: what the command line chose, and nothing else.
//  2. env: ALIBABA_CLOUD_ACCESS_KEY_ID, ..._SECRET, ALIBABA_CLOUD_SECURITY_TOKEN, or OSS_ACCESS_KEY_ID,
//     OSS_ACCESS_KEY_SECRET, OSS_SESSION_TOKEN, or ossfs 1.x's OSSACCESSKEYID, OSSSECRETACCESSKEY.
//  3. oidc: a Kubernetes service account's token becomes a role (AssumeRoleWithOIDC).
//  4. assume-role: ALIBABA_CLOUD_ROLE_ARN over the key of the environment, or of what follows here.
//  5. oss: ~/.oss/credentials.
//  6. shared: ~/.alibabacloud/credentials.ini, ~/.alibabacloud/credentials, ~/.aliyun/credentials.ini.
//  7. cli: ~/.aliyun/config.json.
//  8. ossutil: ~/.ossutilconfig.
//  9. passwd: OSS_CREDENTIAL_FILE, or else ~/.passwd-ossfs, then /etc/passwd-ossfs: the order of ossfs 1.x.
//  10. process: a command that prints JSON.
//  11. uri: ALIBABA_CLOUD_CREDENTIALS_URI.
//  12. ecs: the RAM role of the ECS instance.
//
// A source that is not configured is passed over. So is one that is there and cannot be used (a file
// that others can read, a password file without a line for the bucket, a mode that needs a browser), with a warning. A source that is configured and
// fails (STS refuses, the network is down) ends the search: a mount must not get another identity
// because the network had a bad second. Once found, a source is never exchanged for another.
//
// # Renewal
//
// Credentials that expire are renewed when a quarter of their life is left (at most 15 minutes), by the
// first request after that moment: one renewal at a time, while requests go on with the old ones. One
// that fails is tried again after 1 s, 2 s, ... 1 min. Only when the old ones have expired do requests
// wait, at most [Patience]. Credentials without an expiry are looked up again every five minutes, so
// that a file that was rewritten takes effect without a remount. Nothing happens while no request comes.
//
// # Secrets
//
// No String, error, log record or %+v of a type of this package holds a secret or a token; access key
// IDs are shown in part. What is secret is kept inside functions, which fmt prints as addresses.
//
// # Sources of the formats
//
//   - the names in the environment, credentials.ini and its types:
//     https://pypi.org/project/alibabacloud-credentials/
//   - ~/.oss/credentials: https://github.com/aliyun/aliyun-oss-java-sdk (AuthUtils); both spellings of its keys
//   - ~/.aliyun/config.json: https://www.alibabacloud.com/help/en/doc-detail/121258.html
//   - ~/.ossutilconfig: https://www.alibabacloud.com/help/en/oss/developer-reference/configure-ossutil2
//   - passwd-ossfs: https://www.alibabacloud.com/help/en/oss/developer-reference/configurations-for-ossfs-1-0
//   - AssumeRole, AssumeRoleWithOIDC: https://www.alibabacloud.com/help/en/ram/developer-reference/api-sts-2015-04-01-assumerole
//   - the signature ACS3-HMAC-SHA256:
//     https://www.alibabacloud.com/help/en/sdk/product-overview/v3-request-structure-and-signature
//   - the metadata service: https://www.alibabacloud.com/help/en/ecs/user-guide/view-instance-metadata
package credentials
