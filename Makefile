# Latch for Linux. `make` builds, `make demo` shows, `make test` proves, `sudo make install` copies.

PREFIX     ?= /usr/local
SYSCONFDIR ?= /etc
LIBEXECDIR ?= $(PREFIX)/libexec
VERSION    ?= $(shell cat VERSION)
BUILD      := build

# The module runs this program and no other; distributions set LIBEXECDIR.
AUTHENTICATOR ?= $(LIBEXECDIR)/latch/latch-auth

CC       ?= cc
CFLAGS   ?= -O2 -g
C_STRICT := -std=c11 -D_GNU_SOURCE -Wall -Wextra -Werror -Wshadow -Wconversion -Wformat=2 -Wstrict-prototypes \
            -fPIC -fvisibility=hidden -fstack-protector-strong -D_FORTIFY_SOURCE=2
C_LINK   := -shared -Wl,--version-script=pam/pam_latch.map -Wl,-z,defs -Wl,-z,relro -Wl,-z,now
C_FILES  := $(wildcard pam/*.c)

GO         ?= go
GO_LDFLAGS := -s -w -X github.com/latch-linux/latch/pkg/version.version=$(VERSION)
GO_BUILD   := CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(GO_LDFLAGS)'
GO_FILES   := $(shell find cmd pkg -name '*.go' -o -path '*/testdata' -prune -false) go.mod go.sum VERSION

PROGRAMS := $(BUILD)/latch-auth $(BUILD)/latch $(BUILD)/latch-server

.PHONY: all build clean
all: build

build: $(BUILD)/pam_latch.so $(PROGRAMS)

$(BUILD)/pam_latch.so: $(C_FILES) $(wildcard pam/*.h) pam/pam_latch.map Makefile
	@mkdir -p $(BUILD)
	$(CC) $(C_STRICT) $(CFLAGS) -DLATCH_AUTHENTICATOR='"$(AUTHENTICATOR)"' -o $@ $(C_FILES) $(C_LINK) $(LDFLAGS) -lpam

$(PROGRAMS): $(BUILD)/%: $(GO_FILES)
	@mkdir -p $(BUILD)
	$(GO_BUILD) -o $@ ./cmd/$*

clean:
	rm -rf $(BUILD)
