package account

import (
	"context"
	"errors"
	"strconv"

	"github.com/portico-web/portico/internal/database"
	"github.com/portico-web/portico/internal/fault"
	"github.com/portico-web/portico/internal/lang"
)

// Registration is what somebody says who wants an account. Password2 repeats Password1; the rest but Email is optional.
type Registration struct {
	Email         string
	Password1     string
	Password2     string
	Nickname      string
	FirstName     string
	LastName      string
	SchoolID      *int64
	AdmissionYear *int
}

// Years of admission that are believed.
const (
	minAdmissionYear = 1900
	maxAdmissionYear = 2100
)

const emailTaken = "User is already registered with this e-mail address."

// Register makes an account and signs its owner in. The account, the session and the job of greeting by mail come into being
// together or not at all.
func (s *Service) Register(ctx context.Context, in Registration) (Session, error) {
	if err := s.limits.registration(ctx); err != nil {
		return Session{}, err
	}
	user, err := s.checkRegistration(ctx, in)
	if err != nil {
		return Session{}, err
	}
	if user.Password, err = s.hasher.hash(ctx, in.Password1); err != nil {
		return Session{}, err
	}
	row, signed, err := s.newToken(ctx, user.ID, nil, user.CreatedAt)
	if err != nil {
		return Session{}, err
	}
	err = s.store.db.RunInTx(ctx, func(ctx context.Context, tx database.Tx) error {
		if err := s.store.insertUser(ctx, tx, &user); err != nil {
			return err
		}
		if err := s.store.insertRefreshToken(ctx, tx, row); err != nil {
			return err
		}
		mail := WelcomeMail{UserID: user.ID, Email: user.Email, Nickname: user.Nickname, Lang: string(lang.Of(ctx))}
		_, err := s.jobs.InsertTx(ctx, tx, mail, nil)
		return err
	})
	switch {
	case errors.Is(err, errEmailTaken):
		return Session{}, fault.Field("email", emailTaken)
	case errors.Is(err, errNoSchool):
		return Session{}, fault.Field("school_id", unknownSchool(ctx, *in.SchoolID))
	case err != nil:
		return Session{}, err
	}
	return s.session(user, signed, row, user.CreatedAt)
}

// checkRegistration tells everything that is wrong with in, or returns the account it asks for, without its password.
func (s *Service) checkRegistration(ctx context.Context, in Registration) (User, error) {
	faults := &fault.Error{Kind: fault.Invalid}
	address, err := parseEmail(in.Email)
	switch {
	case in.Email == "":
		faults.With("email", blank)
	case err != nil:
		faults.With("email", invalidEmail)
	default:
		taken, err := s.store.emailTaken(ctx, address.key)
		if err != nil {
			return User{}, err
		}
		if taken {
			faults.With("email", emailTaken)
		}
	}
	user := s.newUser(address, "")
	user.Nickname = checkName(ctx, faults, "nickname", in.Nickname, maxNickname)
	user.FirstName = checkName(ctx, faults, "first_name", in.FirstName, maxName)
	user.LastName = checkName(ctx, faults, "last_name", in.LastName, maxName)
	if user.AdmissionYear = in.AdmissionYear; in.AdmissionYear != nil {
		if *in.AdmissionYear < minAdmissionYear {
			faults.With("admission_year", "Ensure this value is greater than or equal to 1900.")
		} else if *in.AdmissionYear > maxAdmissionYear {
			faults.With("admission_year", "Ensure this value is less than or equal to 2100.")
		}
	}
	if user.SchoolID = in.SchoolID; in.SchoolID != nil {
		exists, err := s.store.schoolExists(ctx, *in.SchoolID)
		if err != nil {
			return User{}, err
		}
		if !exists {
			faults.With("school_id", unknownSchool(ctx, *in.SchoolID))
		}
	}
	checkPasswords(faults, in, user)
	if len(faults.Fields) > 0 {
		return User{}, faults
	}
	return user, nil
}

func checkPasswords(faults *fault.Error, in Registration, user User) {
	if in.Password2 == "" {
		faults.With("password2", blank)
	}
	if in.Password1 == "" {
		faults.With("password1", blank)
		return
	}
	messages := passwordFaults(in.Password1, user.Email,
		attribute{"nickname", user.Nickname}, attribute{"first name", user.FirstName}, attribute{"last name", user.LastName})
	if len(messages) > 0 {
		faults.With("password1", messages...)
	}
	// As in Django, whether the passwords differ is of interest once the fields themselves are in order.
	if len(faults.Fields) == 0 && in.Password1 != in.Password2 {
		faults.With(fault.NonField, "The two password fields didn't match.")
	}
}

func unknownSchool(ctx context.Context, id int64) string {
	return lang.Of(ctx).Textf(`Invalid pk "%s" - object does not exist.`, strconv.FormatInt(id, 10))
}
