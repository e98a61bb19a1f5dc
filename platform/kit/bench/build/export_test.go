package build

// MeasureIn lets tests measure a small service.
var MeasureIn = measureIn
