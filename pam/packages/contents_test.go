package packages

var (
	kinds  = []string{"deb", "rpm"}
	arches = []string{"amd64", "arm64"} // the first is that of the machine
)
