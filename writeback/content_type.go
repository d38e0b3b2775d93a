package writeback

import (
	"path"
	"strings"

	"github.com/ossfs/ossfs/internal/attr"
)

// contentType is the Content-Type of a key when none is given: by its extension, the same on every host.
func contentType(key Key, a *attr.Attr) string {
	if strings.HasSuffix(string(key), "/") || a.Type() == attr.TypeDir {
		return "application/x-directory"
	}
	if t := typeOf(strings.ToLower(path.Ext(string(key)))); t != "" {
		return t
	}
	return "application/octet-stream"
}

// typeOf is the media type of a lower-case extension, as IANA has it; "" when it is not among the common ones.
func typeOf(ext string) string {
	if t := textType(ext); t != "" {
		return t
	}
	switch ext {
	case ".json", ".map":
		return "application/json"
	case ".pdf":
		return "application/pdf"
	case ".zip":
		return "application/zip"
	case ".gz", ".tgz":
		return "application/gzip"
	case ".bz2":
		return "application/x-bzip2"
	case ".xz":
		return "application/x-xz"
	case ".zst":
		return "application/zstd"
	case ".tar":
		return "application/x-tar"
	case ".7z":
		return "application/x-7z-compressed"
	case ".rar":
		return "application/vnd.rar"
	case ".jar":
		return "application/java-archive"
	case ".wasm":
		return "application/wasm"
	case ".rtf":
		return "application/rtf"
	case ".doc":
		return "application/msword"
	case ".xls":
		return "application/vnd.ms-excel"
	case ".ppt":
		return "application/vnd.ms-powerpoint"
	case ".docx":
		return "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
	case ".xlsx":
		return "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
	case ".pptx":
		return "application/vnd.openxmlformats-officedocument.presentationml.presentation"
	case ".odt":
		return "application/vnd.oasis.opendocument.text"
	case ".ods":
		return "application/vnd.oasis.opendocument.spreadsheet"
	case ".epub":
		return "application/epub+zip"
	case ".sqlite":
		return "application/vnd.sqlite3"
	case ".parquet":
		return "application/vnd.apache.parquet"
	}
	return mediaType(ext)
}

func textType(ext string) string {
	switch ext {
	case ".txt", ".log", ".text":
		return "text/plain; charset=utf-8"
	case ".html", ".htm":
		return "text/html; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".csv":
		return "text/csv; charset=utf-8"
	case ".md":
		return "text/markdown; charset=utf-8"
	case ".js", ".mjs":
		return "text/javascript; charset=utf-8"
	case ".xml":
		return "text/xml; charset=utf-8"
	case ".yaml", ".yml":
		return "application/yaml"
	case ".ics":
		return "text/calendar; charset=utf-8"
	case ".vcf":
		return "text/vcard; charset=utf-8"
	}
	return ""
}

func mediaType(ext string) string {
	switch ext {
	case ".jpg", ".jpeg":
		return "image/jpeg"
	case ".png", ".gif", ".webp", ".avif", ".bmp", ".heic":
		return "image/" + ext[1:]
	case ".svg":
		return "image/svg+xml"
	case ".tif", ".tiff":
		return "image/tiff"
	case ".ico":
		return "image/vnd.microsoft.icon"
	case ".mp3":
		return "audio/mpeg"
	case ".wav":
		return "audio/wav"
	case ".flac", ".aac":
		return "audio/" + ext[1:]
	case ".ogg", ".oga", ".opus":
		return "audio/ogg"
	case ".m4a":
		return "audio/mp4"
	case ".mp4", ".m4v":
		return "video/mp4"
	case ".webm":
		return "video/webm"
	case ".mkv":
		return "video/matroska"
	case ".mov":
		return "video/quicktime"
	case ".avi":
		return "video/x-msvideo"
	case ".mpg", ".mpeg":
		return "video/mpeg"
	case ".ttf", ".otf", ".woff", ".woff2":
		return "font/" + ext[1:]
	}
	return ""
}
