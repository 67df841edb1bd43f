package doctor

import (
	"github.com/latch-linux/latch/pkg/host/config"
)

// spellings warns where a directory without NSS decides which names are the same user. Some take more names for one than can be told
// here, such as a second address, and unpaired = open lets in under those. A choice that latch.conf states is no warning.
func (e *examination) spellings(unknown int) {
	if unknown == 0 || e.config == nil || e.config.Unpaired != config.Open {
		return
	}
	const text = "paired users whom the name service does not know: %d; a directory may accept another name for one of them, and with unpaired = open that name is not asked about"
	if n, err := config.FindLine(e.profile.Config, "unpaired"); err == nil && n > 0 {
		e.ok("unpaired", text, unknown)
		return
	}
	e.warn("unpaired", "write unpaired = close: "+e.latch("config edit"), text, unknown)
}
