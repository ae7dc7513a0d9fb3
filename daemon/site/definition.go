package site

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"time"

	"github.com/ticketd/ticketd/sync/table"
)

// retryDefinition is the pause between tries to read the definition while MySQL is away or the table missing.
const retryDefinition = time.Second

// learn reads the definition until that works.
func (s *Site) learn(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var last string
	for !s.learned.Load() {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		err := s.Refresh(ctx)
		if err == nil || ctx.Err() != nil {
			return
		}
		if text := err.Error(); text != last {
			s.Log.Warn().Err(err).Bool("remembered", s.Database.Definition() != nil).
				Msg("the tickets table cannot be read yet; trying again")
			last = text
		}
		timer.Reset(retryDefinition)
	}
}

// Refresh reads the table's definition again and keeps it on disk.
func (s *Site) Refresh(ctx context.Context) error {
	var before []table.Column
	if known := s.Database.Definition(); known != nil && s.learned.Load() {
		before = known.Columns
	}
	d, err := s.Database.LoadDefinition(ctx)
	if err != nil {
		return fmt.Errorf("reading the table's definition: %w", err)
	}
	s.learned.Store(true)
	if s.DefinitionFile == "" {
		return nil
	}
	if reflect.DeepEqual(d.Columns, before) {
		return nil
	}
	if err := keep(s.DefinitionFile, d); err != nil {
		// The site works; only the next start without MySQL would miss it.
		s.Log.Warn().Err(err).Msg("the table's definition cannot be kept on disk")
	}
	return nil
}

// recall takes the definition from disk, where there is one.
func (s *Site) recall() {
	if s.DefinitionFile == "" {
		return
	}
	text, err := os.ReadFile(s.DefinitionFile)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	d := new(table.Definition)
	if err == nil {
		err = json.Unmarshal(text, d)
	}
	if err != nil {
		s.Log.Warn().Err(err).Msg("the definition kept on disk is not used; it is read from MySQL")
		return
	}
	s.Database.Remember(d)
}

// keep writes the definition so that a crash leaves the old file or the new one, never half of one.
func keep(path string, d *table.Definition) error {
	text, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return err
	}
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(file.Name()) }()
	_, err = file.Write(text)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}
