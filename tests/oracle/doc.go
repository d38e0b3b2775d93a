// Package oracle compares the OSS server and ossclient with the official SDKs, which nobody here wrote.
package oracle
