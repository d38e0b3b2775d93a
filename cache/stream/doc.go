// Package stream reads object versions: it turns the reads of programs into few, large, parallel ranged GETs.
package stream
