package targets

import "github.com/magefile/mage/mg"

// Check holds checks of what must be true of data and schemas.
type Check mg.Namespace
